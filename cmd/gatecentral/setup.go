package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gateagent/central/enrol"
	"gateagent/central/fleet"
	"gateagent/internal/durable"
)

// setupTimeout bounds a command on the state folder.
const setupTimeout = 30 * time.Second

func initCommand() *cobra.Command {
	var state, announce string
	cmd := &cobra.Command{
		Use:   "init --state DIR",
		Short: "Make the state folder without running the service",
		Long: `Makes CA and database, so that kiosks can be enrolled before the first run.
run does the same by itself. What is there already stays.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onState(cmd.Context(), state, func(ctx context.Context, r *enrol.Registry) error {
				if announce == "" {
					return nil
				}
				return r.Announce(ctx, announce)
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "/var/lib/gatecentral", "state folder")
	cmd.Flags().StringVar(&announce, "announce", "", "broker address that bundles carry until run announces its own: tls://HOST:PORT")
	return cmd
}

func passwordCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "password [OPERATOR] --state DIR",
		Short: "Set a new password for the fleet page and print it once",
		Long: `Makes a new password for an operator of the fleet page (admin unless named),
adds the operator if there is none of that name, and prints the password once.
It works while the service runs; sessions that are open stay open.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			operator := fleet.FirstOperator
			if len(args) == 1 {
				operator = args[0]
			}
			password := fleet.NewPassword()
			return onState(cmd.Context(), state, func(ctx context.Context, r *enrol.Registry) error {
				if _, err := r.Store.SetOperator(ctx, operator, fleet.HashPassword(password), false, time.Now()); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "name      %s\npassword  %s\n", operator, password)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "/var/lib/gatecentral", "state folder")
	return cmd
}

func onState(ctx context.Context, dir string, do func(context.Context, *enrol.Registry) error) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	r, err := enrol.Open(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, r), r.Close())
}

func brokerFilesCommand() *cobra.Command {
	var state, out, revoke string
	var names []string
	cmd := &cobra.Command{
		Use:   "broker-files --state DIR --name HOST --out DIR",
		Short: "Write what a broker of your own needs: certificates, revocation list, access rules",
		Long: `Writes ca.pem, server.pem, server.key, revoked.pem and acl (mosquitto's form) into
a folder. In mosquitto.conf:

  listener 8883
  cafile DIR/ca.pem
  certfile DIR/server.pem
  keyfile DIR/server.key
  crlfile DIR/revoked.pem
  require_certificate true
  use_identity_as_username true
  acl_file DIR/acl

Write them again after a kiosk was revoked and before the certificate ends, in
400 days. central refuses the results of a revoked kiosk in any case.

When somebody else may have the broker's key, --revoke puts its old certificate
on the list as well; give that list (revoked.pem) to every kiosk with
gatectl kiosk revoked.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onState(cmd.Context(), state, func(ctx context.Context, r *enrol.Registry) error {
				if revoke != "" {
					old, err := os.ReadFile(revoke)
					if err == nil {
						err = r.RevokeBroker(ctx, old)
					}
					if err != nil {
						return fmt.Errorf("--revoke %s: %w", revoke, err)
					}
				}
				files, err := r.BrokerFiles(ctx, names, time.Now())
				if err != nil {
					return err
				}
				return writeFiles(out, files)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state", "/var/lib/gatecentral", "state folder")
	f.StringVar(&out, "out", "", "folder to write to")
	f.StringVar(&revoke, "revoke", "", "the old server.pem, whose key is no secret any more")
	f.StringArrayVar(&names, "name", []string{"localhost", "127.0.0.1"}, "host name or address of the broker, repeatable")
	return cmd
}

func writeFiles(dir string, files map[string][]byte) error {
	if dir == "" {
		return errors.New("--out names no folder")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, data := range files {
		if err := durable.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
