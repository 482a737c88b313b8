// Copyright (c) ocm.airgap contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Pack writes binaries as one image for several platforms: an OCI image layout (image-spec v1.1) with an index.
//
//	pack FOLDER TAG PLATFORM=BINARY...
//
// The same binaries give the same bytes: no times, owners, names of the machine. It is Go and not Python because how
// something is compressed then depends on the version of Go alone, as the binaries do.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
	binaryName   = "podinfo"
	user         = "65532:65532"
	port         = "9898/tcp"
)

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type image struct {
	platform
	Config configuration `json:"config"`
	RootFS rootFS        `json:"rootfs"`
}

type configuration struct {
	User         string              `json:"User"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts"`
	Env          []string            `json:"Env"`
	Entrypoint   []string            `json:"Entrypoint"`
	WorkingDir   string              `json:"WorkingDir"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type layout struct {
	folder string
}

func main() {
	if len(os.Args) < 4 {
		stop(fmt.Errorf("usage: pack FOLDER TAG PLATFORM=BINARY..."))
	}
	if err := pack(layout{os.Args[1]}, os.Args[2], os.Args[3:]); err != nil {
		stop(err)
	}
}

func stop(err error) {
	fmt.Fprintln(os.Stderr, "pack:", err)
	os.Exit(1)
}

func pack(target layout, tag string, binaries []string) error {
	if err := os.MkdirAll(filepath.Join(target.folder, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	var manifests []descriptor
	for _, binary := range binaries {
		name, path, found := strings.Cut(binary, "=")
		system, architecture, isPlatform := strings.Cut(name, "/")
		if !found || !isPlatform {
			return fmt.Errorf("%q is not PLATFORM=BINARY, as in linux/amd64=./podinfo", binary)
		}
		added, err := target.addImage(platform{architecture, system}, path)
		if err != nil {
			return err
		}
		manifests = append(manifests, added)
	}
	whole, err := target.addJSON(indexType, index{2, indexType, manifests})
	if err != nil {
		return err
	}
	whole.Annotations = map[string]string{"org.opencontainers.image.ref.name": tag}
	if err := target.write("index.json", index{2, indexType, []descriptor{whole}}); err != nil {
		return err
	}
	fmt.Println(whole.Digest)
	return target.write("oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"})
}

func (l layout) addImage(target platform, path string) (descriptor, error) {
	binary, err := os.ReadFile(path)
	if err != nil {
		return descriptor{}, err
	}
	plain, packed, err := layer(binary)
	if err != nil {
		return descriptor{}, err
	}
	added, err := l.addBlob(layerType, packed)
	if err != nil {
		return descriptor{}, err
	}
	config, err := l.addJSON(configType, image{
		platform: target,
		Config: configuration{
			User:         user,
			ExposedPorts: map[string]struct{}{port: {}},
			Env:          []string{"PATH=/"},
			Entrypoint:   []string{"/" + binaryName},
			WorkingDir:   "/",
		},
		RootFS: rootFS{"layers", []string{digest(plain)}},
	})
	if err != nil {
		return descriptor{}, err
	}
	result, err := l.addJSON(manifestType, manifest{2, manifestType, config, []descriptor{added}})
	result.Platform = &target
	return result, err
}

// layer is a tar with the one binary, and the same compressed.
func layer(binary []byte) (plain, packed []byte, err error) {
	var archive, compressed bytes.Buffer
	writer := tar.NewWriter(&archive)
	// Without a time it is 1970-01-01.
	header := &tar.Header{Typeflag: tar.TypeReg, Name: binaryName, Mode: 0o755, Size: int64(len(binary)), Format: tar.FormatUSTAR}
	if err = writer.WriteHeader(header); err != nil {
		return nil, nil, err
	}
	if _, err = writer.Write(binary); err != nil {
		return nil, nil, err
	}
	if err = writer.Close(); err != nil {
		return nil, nil, err
	}
	packer, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return nil, nil, err
	}
	if _, err = packer.Write(archive.Bytes()); err != nil {
		return nil, nil, err
	}
	err = packer.Close()
	return archive.Bytes(), compressed.Bytes(), err
}

func (l layout) addJSON(mediaType string, value interface{}) (descriptor, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, err
	}
	return l.addBlob(mediaType, content)
}

func (l layout) addBlob(mediaType string, content []byte) (descriptor, error) {
	name := digest(content)
	path := filepath.Join(l.folder, "blobs", filepath.FromSlash(strings.Replace(name, ":", "/", 1)))
	return descriptor{MediaType: mediaType, Digest: name, Size: len(content)}, os.WriteFile(path, content, 0o644)
}

func (l layout) write(name string, value interface{}) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.folder, name), content, 0o644)
}

func digest(content []byte) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(content))
}
