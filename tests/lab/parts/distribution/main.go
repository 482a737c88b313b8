// Copyright (c) ocm.airgap contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The registry of CNCF distribution with the storage that the lab uses, and an access controller that knows accounts
// which may only pull: its htpasswd alone lets every account push.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"

	"github.com/distribution/distribution/v3/registry"
	"github.com/distribution/distribution/v3/registry/auth"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
)

type accounts struct {
	htpasswd auth.AccessController
	realm    string
	pullOnly []any
}

// newAccounts takes the options of htpasswd (realm, path) and the list pullonly.
func newAccounts(options map[string]any) (auth.AccessController, error) {
	htpasswd, err := auth.GetAccessController("htpasswd", options)
	if err != nil {
		return nil, err
	}
	pullOnly, ok := options["pullonly"].([]any)
	if !ok {
		return nil, errors.New(`"pullonly" must be a list of account names`)
	}
	return &accounts{htpasswd, options["realm"].(string), pullOnly}, nil
}

func (a *accounts) Authorized(request *http.Request, wanted ...auth.Access) (*auth.Grant, error) {
	grant, err := a.htpasswd.Authorized(request, wanted...)
	if err != nil || !slices.Contains(a.pullOnly, any(grant.User.Name)) {
		return grant, err
	}
	for _, access := range wanted {
		if access.Action != "pull" {
			return nil, denied{a.realm, grant.User.Name}
		}
	}
	return grant, nil
}

type denied struct{ realm, user string }

func (d denied) Error() string { return fmt.Sprintf("%s may only pull", d.user) }

func (d denied) SetHeaders(_ *http.Request, response http.ResponseWriter) {
	response.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", d.realm))
}

// hash prints the bcrypt hash of the password on standard input: a line of an htpasswd file without the name.
func hash(_ *cobra.Command, _ []string) error {
	password, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	hashed, err := bcrypt.GenerateFromPassword(password, bcrypt.MinCost)
	fmt.Println(string(hashed))
	return err
}

func main() {
	if err := auth.Register("accounts", newAccounts); err != nil {
		panic(err)
	}
	registry.RootCmd.AddCommand(&cobra.Command{Use: "hash", Args: cobra.NoArgs, RunE: hash})
	if err := registry.RootCmd.Execute(); err != nil {
		os.Exit(1)
	}
}
