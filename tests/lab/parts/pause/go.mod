module ocm.airgap/lab/pause

go 1.26
