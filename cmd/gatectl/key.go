package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gateagent/central/keys"
	"gateagent/central/repo"
)

// keyCommand is `gatectl key`: the keys that sign the update repository.
func keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make and look at keys that sign updates",
		Long: `Make and look at keys that sign updates.

A key lies in a file under a passphrase (Ed25519; NAME, and NAME.pub for
others), or in a PKCS#11 token (ECDSA on P-256 or P-384), from which it never comes out.
A token's key is named by a URI (RFC 7512):

  pkcs11:token=gate;object=root-1?module-path=/usr/lib/softhsm/libsofthsm2.so

Passphrases and PINs are asked on the terminal, or read from a file or an open
descriptor; they never stand on the command line.

  gatectl key new alice.key
  gatectl key show alice.key
  gatectl key list .`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keyNewCommand(), keyShowCommand(), keyListCommand())
	return cmd
}

func keyNewCommand() *cobra.Command {
	var pass passFlags
	var public, curve string
	cmd := &cobra.Command{
		Use:   "new FILE|PKCS11-URI",
		Short: "Make a key",
		Long: fmt.Sprintf(`Make a key. A file is readable by its owner alone, and its public half lies
beside it in FILE.pub; the passphrase has at least %d characters. Of a key in a
token the public half is written where --public says. Keys that exist are never
replaced.

Root keys belong to different people and are made where they are kept: on a
machine without network, or in a token. Nobody can sign for a lost key, and
nobody can open a file whose passphrase is forgotten.`, keys.MinPassphrase),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pub, err := makeKey(cmd, &pass, args[0], public, curve)
			if err != nil {
				return err
			}
			id, err := repo.KeyID(pub)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "key %s\n", id)
			return err
		},
	}
	pass.register(cmd)
	cmd.Flags().StringVar(&public, "public", "", "`file` for the public half of a key in a token")
	cmd.Flags().StringVar(&curve, "curve", "P-256", "of a key in a token: P-256 or P-384")
	return cmd
}

func makeKey(cmd *cobra.Command, pass *passFlags, ref, public, curve string) (crypto.PublicKey, error) {
	ask, err := pass.ask(cmd)
	if err != nil {
		return nil, err
	}
	if keys.IsToken(ref) {
		if public == "" {
			return nil, errors.New("--public names the file for the public half of a key in a token")
		}
		on, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()}[curve]
		if !ok {
			return nil, fmt.Errorf("--curve %s: want P-256 or P-384", curve)
		}
		pub, err := keys.CreateInToken(ref, on, ask)
		if err != nil {
			return nil, err
		}
		return pub, keys.WritePublic(public, pub)
	}
	first, err := ask("new passphrase of key " + ref)
	if err != nil {
		return nil, err
	}
	defer clear(first)
	if pass.file == "" && pass.fd < 0 {
		again, err := ask("the same again")
		if err != nil {
			return nil, err
		}
		defer clear(again)
		if !bytes.Equal(first, again) {
			return nil, errors.New("the two passphrases are not the same; nothing was made")
		}
	}
	return keys.Create(ref, first)
}

// keyInfo describes a public key.
type keyInfo struct {
	File string `json:"file"`
	ID   string `json:"id"`
	Type string `json:"type"`
}

func describeKey(ref string, pub crypto.PublicKey) (keyInfo, error) {
	id, err := repo.KeyID(pub)
	if err != nil {
		return keyInfo{}, fmt.Errorf("%s: %w", ref, err)
	}
	kind := "Ed25519"
	if k, ok := pub.(*ecdsa.PublicKey); ok {
		kind = "ECDSA " + k.Curve.Params().Name
	}
	return keyInfo{File: ref, ID: id, Type: kind}, nil
}

func keyShowCommand() *cobra.Command {
	var pass passFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show FILE|PKCS11-URI",
		Short: "Show the public half of a key",
		Long: `Show the public half of a key: its name in the repository (id), and the key in
PEM. Read it out to each other before a ceremony. Of a file no passphrase is
asked.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ask, err := pass.ask(cmd)
			if err != nil {
				return err
			}
			pub, err := keys.Public(args[0], ask)
			if err != nil {
				return err
			}
			info, err := describeKey(args[0], pub)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), info)
			}
			text, err := keys.PublicPEM(pub)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "id    %s\ntype  %s\n%s", info.ID, info.Type, text)
			return err
		},
	}
	pass.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func keyListCommand() *cobra.Command {
	var pass passFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list FOLDER|PKCS11-URI",
		Short: "List the keys in a folder or token",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ask, err := pass.ask(cmd)
			if err != nil {
				return err
			}
			if keys.IsToken(args[0]) {
				labels, err := keys.ListToken(args[0], ask)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), labels)
				}
				for _, l := range labels {
					fmt.Fprintln(cmd.OutOrStdout(), clean(l))
				}
				return nil
			}
			return listKeys(cmd, args[0], asJSON)
		},
	}
	pass.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func listKeys(cmd *cobra.Command, dir string, asJSON bool) error {
	files, err := keys.List(dir)
	if err != nil {
		return err
	}
	all := []keyInfo{}
	for _, f := range files {
		pub, err := keys.Public(f, nil)
		if err != nil {
			return err
		}
		info, err := describeKey(f, pub)
		if err != nil {
			return err
		}
		all = append(all, info)
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), all)
	}
	for _, k := range all {
		fmt.Fprintf(cmd.OutOrStdout(), "%.12s  %-11s  %s\n", k.ID, k.Type, k.File)
	}
	return nil
}
