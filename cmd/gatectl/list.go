package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"gateagent/match/allowlist"
)

// listCommand is `gatectl list`: allowlists.
func listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Build and inspect allowlists",
		Long: `Build and inspect allowlists.

An allowlist is a folder of three files: list.gal (the table), list.sig (the
signed statement) and list.key (the secret of its generation). The table names
nobody. list.key opens it: keep it from the table wherever the two need not lie
together. Kiosks get it from central, sealed (gatectl list secret); list.key is
for carrying it by hand.

First steps:

  gatectl list keygen --out keys
  gatectl list build --in list.csv --out list --key keys/signing.key \
      --generation 1 --version 1
  gatectl list show list --key keys/signing.pub --verify

Kiosks trust keys/signing.pub; keys/signing.key stays at central.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(listKeygenCommand(), listBuildCommand(), listShowCommand(), listDeltaCommand(), listRevokeCommand(), listSecretCommand())
	return cmd
}

// listKeygenCommand is `gatectl list keygen`.
func listKeygenCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "keygen --out DIR",
		Short: "Make the pair of keys that signs allowlists",
		Long: `Make the pair of keys that signs allowlists: DIR/signing.key, which stays at
central and only its owner can read, and DIR/signing.pub, which kiosks are
configured with. Keys that exist are never replaced.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			public, err := allowlist.GenerateKeys(out)
			if err != nil {
				return fmt.Errorf("list keygen: %w", err)
			}
			id := allowlist.KeyID(public)
			fmt.Fprintf(cmd.OutOrStdout(), "%s stays at central\n%s goes to kiosks, key %s\n",
				filepath.Join(out, allowlist.SigningKeyFile), filepath.Join(out, allowlist.PublicKeyFile), hex.EncodeToString(id[:]))
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "folder for the keys")
	cmd.MarkFlagRequired("out")
	return cmd
}

// printJSON writes v for programs.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
