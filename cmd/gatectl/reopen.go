package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"gateagent/central/enrol"
	"gateagent/central/intake"
)

func centralReopen() *cobra.Command {
	var f centralFlags
	var key string
	cmd := &cobra.Command{
		Use:   "reopen --central DIR",
		Short: "Try results that could not be opened once more",
		Long: `Results that are sealed to a key that central does not have are kept and
acknowledged. When the key turns up (seal-*.key of a backup, or of the central
that a kiosk comes from), give it with --key: it is laid into the folder ca, and
what it opens is opened. The service may run; it does the same by itself at its
start and within seconds of a key's arrival.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.limit = importTimeout
			return f.open(cmd, func(ctx context.Context, r *enrol.Registry) error {
				if key != "" {
					if err := addOpenKey(cmd, r, key); err != nil {
						return err
					}
				}
				open, err := r.CA.FreshOpener()
				if err != nil {
					return err
				}
				done, still, err := intake.Retry(ctx, r.Store, open)
				fmt.Fprintf(cmd.ErrOrStderr(), "%d results opened, %d still cannot be\n", done, still)
				return err
			})
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&key, "key", "", "file with a private key that opens results, to be laid beside central's own")
	return cmd
}

func addOpenKey(cmd *cobra.Command, r *enrol.Registry, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	defer clear(text)
	id, err := r.CA.AddOpenKey(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "key %s is in the folder ca\n", id)
	return err
}
