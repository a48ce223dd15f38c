package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gateagent/central/ca"
	"gateagent/central/enrol"
	"gateagent/gate/wire"
	"gateagent/match/allowlist"
)

// listSecretCommand is `gatectl list secret`: how kiosks get what opens lists.
func listSecretCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "At central: give kiosks the secret that opens the lists of a generation",
		Long: `Give kiosks the secret that opens the lists of a generation. Each kiosk gets it
sealed to its own key: in its enrolment bundle (gatectl kiosk add, renew), over
the broker within seconds when it is connected, or in the file of gatectl
central import --ack when it never is. Central keeps the secrets in its folder
ca, and lets go of each when its last list has expired.

  gatectl list secret add keys/generation-2.secret --airport SGN

Add the secret of a new generation before its first list is published.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(listSecretAdd(), listSecretShow(), listSecretRemove())
	return cmd
}

func listSecretAdd() *cobra.Command {
	var f centralFlags
	var airport string
	cmd := &cobra.Command{
		Use:   "add FILE --central DIR",
		Short: "Give kiosks a secret: generation-N.secret, or list.key of a list",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := allowlist.ReadSecret(args[0])
			if err != nil {
				return fmt.Errorf("list secret: %w", err)
			}
			defer s.Wipe()
			content := s.Reveal()
			defer clear(content)
			return f.open(cmd, func(_ context.Context, r *enrol.Registry) error {
				err := r.CA.AddListSecret(wire.ListSecret{Airport: airport, Generation: s.Generation, Began: s.Began, Content: content}, time.Now())
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "kiosks of %s get the secret of generation %d\n", ca.OfAirport(airport), s.Generation)
				return err
			})
		},
	}
	f.register(cmd)
	registerAirport(cmd, &airport)
	return cmd
}

func registerAirport(cmd *cobra.Command, airport *string) {
	cmd.Flags().StringVar(airport, "airport", "", "of the kiosks of one airport alone, as in gatectl kiosk add, like SGN (default: of every kiosk)")
}

func listSecretShow() *cobra.Command {
	var f centralFlags
	cmd := &cobra.Command{
		Use:   "show --central DIR",
		Short: "Say whose lists kiosks can open; never a secret",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.open(cmd, func(_ context.Context, r *enrol.Registry) error {
				set, err := r.CA.ListSecrets(time.Now())
				if err != nil {
					return err
				}
				defer set.Wipe()
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "GENERATION\tKIOSKS OF\tBEGAN\tBUILDS UNTIL")
				for _, s := range set.Secrets {
					fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", s.Generation, ca.OfAirport(s.Airport), s.Began.Format(time.DateOnly), s.Began.Add(allowlist.MaxGenerationAge).Format(time.DateOnly))
				}
				return w.Flush()
			})
		},
	}
	f.register(cmd)
	return cmd
}

func listSecretRemove() *cobra.Command {
	var f centralFlags
	var airport string
	var generation uint32
	cmd := &cobra.Command{
		Use:   "remove --generation N --central DIR",
		Short: "Take a secret away from central and from kiosks; their list of it then opens no more",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.open(cmd, func(_ context.Context, r *enrol.Registry) error {
				return r.CA.RemoveListSecret(generation, airport, time.Now())
			})
		},
	}
	f.register(cmd)
	registerAirport(cmd, &airport)
	cmd.Flags().Uint32Var(&generation, "generation", 0, "number of the generation")
	required(cmd, "generation")
	return cmd
}

// listSecretsLine gives the present list secrets for a kiosk that is not
// online; empty when it is to have none.
func listSecretsLine(ctx context.Context, r *enrol.Registry, kiosk string) ([]byte, error) {
	all, err := r.CA.ListSecrets(time.Now())
	if err != nil {
		return nil, err
	}
	defer all.Wipe()
	c, err := r.ListSecrets(ctx, kiosk, "", all)
	if c == nil || err != nil {
		return nil, err
	}
	return c.Encode()
}
