package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/central/repo"
	"gateagent/gate/wire"
)

// repoCommand is `gatectl repo`: the repository that kiosks take updates from.
func repoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repo",
		Short: "Make, sign and look after the update repository",
		Long: `Make, sign and look after the update repository: plain files by the rules of
The Update Framework, which any HTTPS server, folder or stick can carry.

Every change is a draft at first. It gathers the signatures of its role's keys,
which different people may hold, in any order and on any machine; when it has
enough of them it is put in force together with a new snapshot and timestamp.
Those are signed with the online keys, by gatecentral, or by the command itself
if it was given them with --key.

  root         who signs what; several people, once a year
  targets      who signs for which airport and for what else; ops
  airport-XXX  the allowlists of one airport
  trust, settings, software, models
  revocations, snapshot, timestamp   the online keys, at central

First steps:

  gatectl key new alice.key                        (bob and carol, too)
  gatectl key new ops.key
  gatectl key new online.key
  gatectl repo init --root alice.key.pub --root bob.key.pub --root carol.key.pub \
      --threshold 2 --targets ops.key.pub --online online.key.pub
  gatectl repo sign --key alice.key
  gatectl repo sign --key bob.key
  gatectl repo sign --key ops.key --key online.key
  gatectl repo status`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(repoInitCommand(), repoStatusCommand(), repoSignCommand(), repoTimestampCommand(), repoVerifyCommand(),
		repoRenewCommand(), repoDelegateCommand(), repoUndelegateCommand(), repoDropCommand(), repoCarryCommand(), repoTakeCommand())
	return cmd
}

// initFlags are those of `gatectl repo init`.
type initFlags struct {
	root, targets, online, roles []string
	threshold                    int
}

func repoInitCommand() *cobra.Command {
	var f repoFlags
	var p initFlags
	cmd := &cobra.Command{
		Use:   "init --root KEY.pub... --threshold N --targets KEY.pub --online KEY.pub",
		Short: "Draft a new repository",
		Long: `Draft a new repository. Nothing counts until the drafts are signed with
gatectl repo sign: root by --threshold of its keys, targets by its key, and
each role by its own.

--online names the key of snapshot, timestamp and revocations, which lies at
central for gatecentral to sign with. It can do no more than to hold kiosks up
and to refuse people. trust, settings, software and models are signed by the
keys of targets unless --role says otherwise; airports are added with --role or
later with gatectl repo delegate:

  --role airport-SGN=sgn.key.pub --role software=build.key.pub`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := p.plan(cmd, &f)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), repoTimeout)
			defer cancel()
			r, err := repo.Init(ctx, f.dir, plan, time.Now())
			if err != nil {
				return err
			}
			err = showStatus(cmd, r, f.json)
			return errors.Join(err, r.Close())
		},
	}
	f.register(cmd)
	f.pass.register(cmd)
	cmd.Flags().StringArrayVar(&p.root, "root", nil, "public `key` of root, repeatable")
	cmd.Flags().IntVar(&p.threshold, "threshold", 0, "how many of the root keys must sign")
	cmd.Flags().StringArrayVar(&p.targets, "targets", nil, "public `key` of targets, repeatable; one of them signs")
	cmd.Flags().StringArrayVar(&p.online, "online", nil, "public `key` of snapshot, timestamp and revocations")
	cmd.Flags().StringArrayVar(&p.roles, "role", nil, "`ROLE=KEY.pub`: keys of another role, repeatable; one of them signs")
	for _, needed := range []string{"root", "threshold", "targets", "online"} {
		required(cmd, needed)
	}
	return cmd
}

func (p *initFlags) plan(cmd *cobra.Command, f *repoFlags) (repo.Plan, error) {
	plan := repo.Plan{Roles: map[string]repo.RoleKeys{}}
	refs := map[string][]string{wire.RoleRoot: p.root}
	for _, role := range []string{wire.RoleTargets, wire.RoleTrust, wire.RoleSettings, wire.RoleSoftware, wire.RoleModels} {
		refs[role] = p.targets
	}
	for _, role := range onlineRoles() {
		refs[role] = p.online
	}
	named := map[string][]string{}
	for _, text := range p.roles {
		role, ref, ok := strings.Cut(text, "=")
		if !ok {
			return plan, fmt.Errorf("--role %s: write it as ROLE=KEY.pub", text)
		}
		if _, err := wire.RolePaths(role); err != nil {
			return plan, err
		}
		named[role] = append(named[role], ref)
	}
	for role, r := range named {
		refs[role] = r
	}
	ask, err := f.pass.ask(cmd)
	if err != nil {
		return plan, err
	}
	for role, r := range refs {
		k := repo.RoleKeys{Threshold: 1}
		if role == wire.RoleRoot {
			k.Threshold = p.threshold
		}
		if k.Keys, err = publicKeys(r, ask); err != nil {
			return plan, err
		}
		plan.Roles[role] = k
	}
	return plan, nil
}

// onlineRoles are signed by a running machine.
func onlineRoles() []string {
	return []string{wire.RoleSnapshot, wire.RoleTimestamp, wire.RoleRevocations}
}

func repoStatusCommand() *cobra.Command {
	var f repoFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show every role: version, expiry, keys, and drafts with what they change",
		Long: `Show every role: its version in force and until when, who signs it, and its
draft with what it would change and whose signatures it has and wants. Read
what a draft changes before you sign it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.do(cmd, func(r *repo.Repo) error { return showStatus(cmd, r, f.json) })
		},
	}
	f.register(cmd)
	return cmd
}

func showStatus(cmd *cobra.Command, r *repo.Repo, asJSON bool) error {
	s := r.Status()
	if asJSON {
		return printJSON(cmd.OutOrStdout(), s)
	}
	printStatus(cmd.OutOrStdout(), s, time.Now())
	return nil
}

func printStatus(w io.Writer, s repo.Status, now time.Time) {
	if s.Issued.IsZero() {
		fmt.Fprintln(w, "nothing is in force yet")
	} else {
		fmt.Fprintf(w, "timestamp signed %s\n", s.Issued.UTC().Format(time.RFC3339))
	}
	for _, role := range s.Roles {
		fmt.Fprintf(w, "%-13s", role.Role)
		if role.Version == 0 {
			fmt.Fprint(w, " nothing in force")
		} else {
			word := "until"
			if !role.Expires.After(now) {
				word = "EXPIRED"
			}
			fmt.Fprintf(w, " version %d %s %s", role.Version, word, role.Expires.UTC().Format(time.RFC3339))
		}
		if role.Targets > 0 {
			fmt.Fprintf(w, ", targets %d", role.Targets)
		}
		fmt.Fprintf(w, ", %d of %s\n", role.Threshold, idList(role.Keys))
		if d := role.Draft; d != nil {
			fmt.Fprintf(w, "  draft %d until %s, signed by %s, wants %d, missing %s\n", d.Version, d.Expires.UTC().Format(time.RFC3339), idList(d.Signed), role.Threshold, idList(d.Wanted))
			for _, c := range d.Changes {
				fmt.Fprintf(w, "    %s\n", c)
			}
		}
	}
}

func idList(ids []string) string {
	if len(ids) == 0 {
		return "nobody"
	}
	var all []string
	for _, id := range ids {
		all = append(all, fmt.Sprintf("%.12s", id))
	}
	return strings.Join(all, " ")
}

func repoSignCommand() *cobra.Command {
	return settling("sign --key KEY...", "Sign the drafts that want these keys, and put in force what is complete",
		`Sign the drafts that want these keys. Each person does so with their own key,
at central or on a copy (gatectl repo carry), in any order. What has all its
signatures is put in force, by this command if the online keys are among those
given, else by gatecentral.`)
}

func repoTimestampCommand() *cobra.Command {
	return settling("timestamp --key ONLINE-KEY", "Put in force what is signed, and renew timestamp, snapshot and revocations where due",
		`Put in force what is signed, and renew timestamp, snapshot and revocations
where due, as gatecentral does by itself. For a repository without gatecentral:
run it at least once an hour, since kiosks judge how fresh they are by the age
of the timestamp.`)
}

// settling makes a command that changes nothing but what its keys sign.
func settling(use, short, long string) *cobra.Command {
	cmd := changing(&cobra.Command{Use: use, Short: short, Long: long, Args: cobra.NoArgs},
		func(*cobra.Command, *repo.Repo, []string) error { return nil })
	required(cmd, "key")
	return cmd
}

func repoVerifyCommand() *cobra.Command {
	return looking(&cobra.Command{
		Use:   "verify",
		Short: "Prove the repository as a kiosk would, every target's content included",
		Args:  cobra.NoArgs,
	}, func(cmd *cobra.Command, r *repo.Repo, _ []string) error {
		if err := r.Verify(time.Now()); err != nil {
			return err
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "every signature, version and target is right")
		return err
	})
}
