package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// kioskCommand is `gatectl kiosk`: enrolment, from both ends.
func kioskCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kiosk",
		Short: "Enrol kiosks, renew and revoke them",
		Long: `Enrol kiosks. The private keys are made on the kiosk and never leave it; a
request with the public keys goes to central, one bundle comes back.

  on the kiosk    gatectl kiosk request --state /var/lib/gateagent --name sgn-g12 > sgn-g12.request
  at central      gatectl kiosk add sgn-g12.request --central /var/lib/gatecentral > sgn-g12.bundle
  on the kiosk    gatectl kiosk install sgn-g12.bundle --state /var/lib/gateagent

Neither file is secret, but both decide whom one trusts: carry them so that
nobody can exchange them, and compare the fingerprints that add and install
print. central need not be stopped; what is added or revoked counts at once.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(kioskRequest(), kioskInstall(), kioskAdd(), kioskRenew(), kioskRevoke(), kioskList(), kioskCRL(), kioskRevoked())
	return cmd
}

func kioskRequest() *cobra.Command {
	var state, name string
	cmd := &cobra.Command{
		Use:   "request --state DIR --name KIOSK",
		Short: "On the kiosk: make its keys and print an enrolment request",
		Long: `Makes the kiosk's keys in DIR/identity (readable by their owner alone) and
prints the request for central. Run again it prints a request for the same keys.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := keysIn(filepath.Join(state, wire.IdentityFolder), name)
			if err != nil {
				return err
			}
			req, err := keys.Request(time.Now())
			if err != nil {
				return err
			}
			return output(cmd, "", req)
		},
	}
	kioskState(cmd, &state)
	cmd.Flags().StringVar(&name, "name", "", "the kiosk's name: 1 to 40 of a-z, 0-9 and hyphen")
	required(cmd, "name")
	return cmd
}

// keysIn finds the kiosk's keys or makes them.
func keysIn(dir, name string) (*wire.KioskKeys, error) {
	keys, err := wire.LoadKioskKeys(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if keys, err = wire.NewKioskKeys(name); err != nil {
			return nil, err
		}
		return keys, keys.Save(dir)
	}
	if err != nil {
		return nil, err
	}
	if keys.Name != name {
		return nil, fmt.Errorf("%s holds the keys of kiosk %s: ask for that name, or move the folder away to start anew", dir, keys.Name)
	}
	return keys, nil
}

func kioskInstall() *cobra.Command {
	var state string
	var replace bool
	cmd := &cobra.Command{
		Use:   "install BUNDLE --state DIR",
		Short: "On the kiosk: put central's bundle in force",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readBounded(cmd, args[0])
			if err != nil {
				return err
			}
			id, err := wire.InstallBundle(filepath.Join(state, wire.IdentityFolder), data, replace)
			if err != nil {
				return err
			}
			root := ""
			if len(id.Root) > 0 {
				root = fmt.Sprintf("; root of the update repository %x", sha256.Sum256(id.Root))
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "kiosk %s is enrolled until %s; broker %v; central's key %s%s; restart the agent\n",
				id.Name, id.NotAfter().Format(time.DateOnly), id.Broker, fingerprint(id.AckKey), root)
			return err
		},
	}
	kioskState(cmd, &state)
	cmd.Flags().BoolVar(&replace, "replace", false, "this kiosk moves to another central")
	return cmd
}

func kioskAdd() *cobra.Command {
	var f centralFlags
	var replace bool
	cmd := &cobra.Command{
		Use:   "add REQUEST --central DIR",
		Short: "At central: enrol a kiosk and print its bundle",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readBounded(cmd, args[0])
			if err != nil {
				return err
			}
			return f.bundle(cmd, func(ctx context.Context, r *enrol.Registry, o enrol.Options) (*wire.Bundle, error) {
				o.Replace = replace
				return r.Add(ctx, data, o, time.Now())
			})
		},
	}
	f.register(cmd)
	f.registerBundle(cmd)
	cmd.Flags().BoolVar(&replace, "replace", false, "enrol a kiosk of that name anew; the certificates of its earlier keys are revoked, its results stay")
	return cmd
}

func kioskRenew() *cobra.Command {
	var f centralFlags
	cmd := &cobra.Command{
		Use:   "renew KIOSK --central DIR",
		Short: "At central: print a new bundle with a fresh certificate for the same keys",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.bundle(cmd, func(ctx context.Context, r *enrol.Registry, o enrol.Options) (*wire.Bundle, error) {
				return r.Renew(ctx, args[0], o, time.Now())
			})
		},
	}
	f.register(cmd)
	f.registerBundle(cmd)
	return cmd
}

func kioskRevoke() *cobra.Command {
	var f centralFlags
	var why string
	cmd := &cobra.Command{
		Use:   "revoke KIOSK --central DIR --reason WHY",
		Short: "At central: refuse a kiosk from now on and cut its connection",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.open(cmd, func(ctx context.Context, r *enrol.Registry) error {
				if err := r.Revoke(ctx, args[0], why, time.Now()); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.ErrOrStderr(), "kiosk %s is revoked, and the key of document references is a new one; with a broker of your own, give it the new list of `gatectl kiosk crl`\n", args[0])
				return err
			})
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&why, "reason", "", "why, for the record")
	required(cmd, "reason")
	return cmd
}

func kioskList() *cobra.Command {
	var f centralFlags
	cmd := &cobra.Command{
		Use:   "list --central DIR",
		Short: "At central: list the enrolled kiosks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.open(cmd, func(ctx context.Context, r *enrol.Registry) error {
				all, err := r.List(ctx)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "KIOSK\tADDED\tCERTIFICATE ENDS\tSTATE")
				for _, k := range all {
					state, ends := "enrolled", k.NotAfter.Format(time.DateOnly)
					if !k.Revoked.IsZero() {
						state, ends = fmt.Sprintf("revoked %s: %s", k.Revoked.Format(time.DateOnly), k.RevokedWhy), "-"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.Name, k.Added.Format(time.DateOnly), ends, state)
				}
				return w.Flush()
			})
		},
	}
	f.register(cmd)
	return cmd
}

func kioskCRL() *cobra.Command {
	var f centralFlags
	cmd := &cobra.Command{
		Use:   "crl --central DIR",
		Short: "At central: print the revocation list, for a broker of your own and for kiosks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.open(cmd, func(ctx context.Context, r *enrol.Registry) error {
				list, err := r.RevocationList(ctx, time.Now())
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(list)
				return err
			})
		},
	}
	f.register(cmd)
	return cmd
}

func kioskRevoked() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "revoked LIST --state DIR",
		Short: "On the kiosk: put central's revocation list in force, for the brokers on it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readBounded(cmd, args[0])
			if err != nil {
				return err
			}
			n, err := wire.InstallRevoked(filepath.Join(state, wire.IdentityFolder), data)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%d certificates are revoked, from the next connection on\n", n)
			return err
		},
	}
	kioskState(cmd, &state)
	return cmd
}

func kioskState(cmd *cobra.Command, state *string) {
	cmd.Flags().StringVar(state, "state", "/var/lib/gateagent", "the kiosk's state folder")
}

// output writes a request or bundle to the file, or to standard output.
func output(cmd *cobra.Command, path string, v any) error {
	data, err := enrol.Encode(v)
	if err != nil {
		return err
	}
	if path == "" {
		_, err = cmd.OutOrStdout().Write(data)
		return err
	}
	return durable.WriteFile(path, data, 0o600)
}

func required(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagRequired(flag); err != nil {
		panic(err) // the flag is not defined: a mistake in this file
	}
}
