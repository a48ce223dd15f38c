package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gateagent/update"
)

// updateFolder is the agent's, inside its state folder.
const updateFolder = "update"

// updateCommand is `gatectl update`: what central pushed to this kiosk.
func updateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "update",
		Short: "Bring pushes to a kiosk without network, and show what is in force",
		Long: `Bring pushes to a kiosk without network, and show what is in force.

  gatectl update status --state /var/lib/gateagent
  gatectl update import /media/stick --state /var/lib/gateagent
  gatectl update rollback --state /var/lib/gateagent

The repository on a stick is proven like one behind a mirror: whoever carries
it is trusted with nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(updateImportCommand(), updateStatusCommand(), updateRollbackCommand())
	return cmd
}

// updateImportCommand is `gatectl update import`.
func updateImportCommand() *cobra.Command {
	var state string
	var patience time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import DIR --state DIR",
		Short: "Hand a repository in a folder or on a stick to the agent, and say what it made of it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			v, err := update.Import(ctx, filepath.Join(state, updateFolder), args[0], func(file string) {
				fmt.Fprintln(cmd.ErrOrStderr(), "copied", file)
			})
			if errors.Is(err, update.ErrWaiting) {
				fmt.Fprintln(cmd.ErrOrStderr(), "gatectl:", err)
				return nil
			}
			if err != nil {
				return fmt.Errorf("update import: %w", err)
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			} else {
				err = showUpdate(cmd.OutOrStdout(), v.Status)
			}
			if err == nil && !v.Taken {
				err = fmt.Errorf("update import: not taken, what was in force stays: %s", v.Problem)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&state, "state", "/var/lib/gateagent", "the agent's state folder")
	cmd.Flags().DurationVar(&patience, "wait", time.Minute, "how long to wait for the agent")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

const updateRollbackHelp = `Put the list in force that was so before the newest, which turns out to be
wrong: too short, or made from the wrong flights. The list that is given up
never comes in again, only one with a higher version; publish that next.

Refused where the kiosk keeps no previous list, where that has expired, and
where the keys that signed it no longer count. Who was revoked stays so; who
was taken off by the newer list alone is on the list again.`

// updateRollbackCommand is `gatectl update rollback`.
func updateRollbackCommand() *cobra.Command {
	var state string
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "rollback --state DIR",
		Short: "Have the kiosk go back to the list before the newest",
		Long:  updateRollbackHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			v, err := update.Return(ctx, filepath.Join(state, updateFolder))
			if err == nil && !v.Taken {
				err = errors.New(v.Problem)
			}
			if err != nil {
				return fmt.Errorf("update rollback: %w", err)
			}
			return showUpdate(cmd.OutOrStdout(), v.Status)
		},
	}
	cmd.Flags().StringVar(&state, "state", "/var/lib/gateagent", "the agent's state folder")
	cmd.Flags().DurationVar(&patience, "wait", time.Minute, "how long to wait for the agent")
	return cmd
}

// updateStatusCommand is `gatectl update status`.
func updateStatusCommand() *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status --state DIR",
		Short: "Show what of central's pushes is in force on this kiosk, and how old it is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, at, err := update.ReadStatus(filepath.Join(state, updateFolder))
			if err != nil {
				return fmt.Errorf("update status: %w: does the agent run, and is update.root configured?", err)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "as of", at.UTC().Format(time.RFC3339))
			return showUpdate(cmd.OutOrStdout(), s)
		},
	}
	cmd.Flags().StringVar(&state, "state", "/var/lib/gateagent", "the agent's state folder")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func showUpdate(w io.Writer, s update.Status) error {
	when := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(w, "root version %d, timestamp version %d of %s, valid until %s\n", s.Root, s.Timestamp, when(s.Issued), when(s.Expires))
	if s.Source != "" {
		fmt.Fprintf(w, "from %s on %s\n", s.Source, when(s.Looked))
	}
	for _, r := range s.Roles {
		fmt.Fprintf(w, "%s version %d (%s), issued %s, in force since %s\n", r.Role, r.Version, r.Detail, when(r.Issued), when(r.Since))
		if r.Problem != "" {
			fmt.Fprintf(w, "  newer refused: %s\n", r.Problem)
		}
	}
	for _, n := range s.Notices {
		fmt.Fprintln(w, n)
	}
	return nil
}
