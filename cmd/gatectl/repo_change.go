package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gateagent/central/repo"
	"gateagent/gate/wire"
)

func repoRenewCommand() *cobra.Command {
	return changing(&cobra.Command{
		Use:   "renew ROLE...",
		Short: "Draft roles anew as they are, with their validity from now on",
		Long: `Draft roles anew as they are, with their validity from now on: root a year,
what people sign 90 days. gatectl repo status shows what ends when. The online
roles renew themselves.`,
		Example: `  gatectl repo renew root targets --key alice.key --key ops.key`,
		Args:    cobra.MinimumNArgs(1),
	}, func(_ *cobra.Command, r *repo.Repo, roles []string) error {
		for _, role := range roles {
			if err := r.Renew(role, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

func repoDelegateCommand() *cobra.Command {
	var f repoFlags
	var signers []string
	var threshold int
	cmd := &cobra.Command{
		Use:   "delegate ROLE --by KEY.pub",
		Short: "Let an airport's keys sign its lists",
		Long: `Let other keys sign a role: airport-XXX (its IATA code) for the allowlists of
that airport alone, or trust, settings, software, models. The draft of targets
wants the signature of ops, the role's own the signature of its new keys; both
come into force together.`,
		Example: `  gatectl repo delegate airport-SGN --by sgn.key.pub --key ops.key`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ask, err := f.pass.ask(cmd)
			if err != nil {
				return err
			}
			if _, err := wire.RolePaths(args[0]); err != nil {
				return err
			}
			pubs, err := publicKeys(signers, ask)
			if err != nil {
				return err
			}
			return f.change(cmd, func(r *repo.Repo) error {
				return r.SetKeys(args[0], repo.RoleKeys{Keys: pubs, Threshold: threshold}, time.Now())
			})
		},
	}
	f.registerKeys(cmd)
	cmd.Flags().StringArrayVar(&signers, "by", nil, "public `key` of the role, repeatable")
	cmd.Flags().IntVar(&threshold, "threshold", 1, "how many of its keys must sign")
	required(cmd, "by")
	return cmd
}

func repoUndelegateCommand() *cobra.Command {
	return changing(&cobra.Command{
		Use:   "undelegate ROLE",
		Short: "Take a role away: kiosks take nothing from it any more",
		Args:  cobra.ExactArgs(1),
	}, func(_ *cobra.Command, r *repo.Repo, args []string) error { return r.Undelegate(args[0], time.Now()) })
}

func repoDropCommand() *cobra.Command {
	return looking(&cobra.Command{
		Use:   "drop ROLE",
		Short: "Throw the draft of a role away",
		Long: `Throw the draft of a role away, with the signatures that it has. What is in
force stays. The draft of a role whose keys change belongs to that of root or
targets: drop both.`,
		Args: cobra.ExactArgs(1),
	}, func(_ *cobra.Command, r *repo.Repo, args []string) error {
		return errors.Join(r.Drop(args[0]), r.Save())
	})
}

func repoCarryCommand() *cobra.Command {
	return looking(&cobra.Command{
		Use:   "carry FOLDER",
		Short: "Copy drafts and metadata to sign elsewhere",
		Long: `Copy drafts and metadata into a new folder, on a stick for example: for people
who keep their keys on a machine without network. There:

  gatectl repo status --repo FOLDER
  gatectl repo sign --repo FOLDER --key alice.key

and back at central: gatectl repo take FOLDER.`,
		Args: cobra.ExactArgs(1),
	}, func(_ *cobra.Command, r *repo.Repo, args []string) error { return r.CopyDrafts(args[0]) })
}

func repoTakeCommand() *cobra.Command {
	return changing(&cobra.Command{
		Use:   "take FOLDER",
		Short: "Take the signatures that a copy has got",
		Long: `Take the signatures that a copy has got. The drafts here must be those that
were carried away; every signature is checked.`,
		Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, r *repo.Repo, args []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), repoTimeout)
		defer cancel()
		from, err := repo.Open(ctx, args[0])
		if err != nil {
			return err
		}
		got, err := r.TakeSignatures(from)
		if err = errors.Join(err, from.Close()); err != nil {
			return err
		}
		for _, s := range got {
			fmt.Fprintf(cmd.ErrOrStderr(), "taken      %s version %d, key %.12s\n", s.Role, s.Version, s.KeyID)
		}
		return nil
	})
}
