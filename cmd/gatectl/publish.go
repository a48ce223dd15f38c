package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/central/repo"
	"gateagent/gate/wire"
	"gateagent/match/allowlist"
)

// publishCommand is `gatectl publish`: what kiosks are to take.
func publishCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publish",
		Short: "Publish lists, trust, settings, software, models and revocations to kiosks",
		Long: `Publish lists, trust, settings, software, models and revocations to kiosks.

Each is checked first, put into the draft of its role, signed with the keys
given, and in force when the role has its signatures: at once if the online
keys are among those given, else as soon as gatecentral has seen it. What waits
for more signatures gets them with gatectl repo sign.

  gatectl publish list list --airport SGN --key sgn.key
  gatectl publish trust /srv/trust --key ops.key
  gatectl publish revocations sgn.revocations --airport SGN`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(publishListCommand(), publishRevocationsCommand(), publishTrustCommand(), publishModelsCommand(),
		publishSettingsCommand(), publishSoftwareCommand(), publishRemoveCommand())
	return cmd
}

// publication is one target to be published.
type publication struct {
	path    string
	target  wire.Target
	content []byte // or the file below, when nil
	file    string
}

func (p *publication) add(r *repo.Repo, now time.Time) error {
	if p.content != nil {
		return r.Add(p.path, &p.target, bytes.NewReader(p.content), now)
	}
	f, err := os.Open(p.file)
	if err != nil {
		return err
	}
	return errors.Join(r.Add(p.path, &p.target, f, now), f.Close())
}

// listFlags are those of `gatectl publish list`.
type listFlags struct {
	repoFlags
	airport string
	deltas  []string
	older   []string
}

func publishListCommand() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list FOLDER --airport XXX",
		Short: "Publish the allowlist of an airport",
		Long: `Publish the allowlist of an airport: the folder that gatectl list build made.
Its table is proven against its statement, page by page. The repository's
signature takes the place of the statement's own; list.key is not published.

--delta 26=FILE adds the patch that leads from version 26 to this one: kiosks
that have 26 fetch that instead of the table. It is tried out first: with the
list that the repository holds, or for a version before that one with its folder
(--old list-25). Older tables are taken out, older patches when their generation
is over.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			st, err := allowlist.Examine(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			all, err := f.publications(args[0], st)
			if err != nil {
				return err
			}
			return f.change(cmd, func(r *repo.Repo) error {
				now := time.Now()
				if err := checkList(r, f.airport, st, now); err != nil {
					return err
				}
				if err := f.checkDeltas(cmd.Context(), r, all, st); err != nil {
					return err
				}
				for i := range all {
					if err := all[i].add(r, now); err != nil {
						return err
					}
				}
				return dropOldLists(r, f.airport, st, now)
			})
		},
	}
	f.registerKeys(cmd)
	cmd.Flags().StringVar(&f.airport, "airport", "", "`IATA` code of the airport")
	cmd.Flags().StringArrayVar(&f.deltas, "delta", nil, "`VERSION=FILE`: patch from an older version to this one, repeatable")
	cmd.Flags().StringArrayVar(&f.older, "old", nil, "`folder` of an older list that a patch leads from, where the repository does not hold it any more; repeatable")
	required(cmd, "airport")
	return cmd
}

func (f *listFlags) publications(dir string, st allowlist.Statement) ([]publication, error) {
	entry := wire.Target{Kind: wire.KindList, Version: st.Version, Generation: st.Generation, Issued: st.Issued, Expires: st.Expires}
	table := entry
	table.Kind = wire.KindTable
	all := []publication{
		{path: wire.ListPath(f.airport), target: entry, content: st.Marshal()},
		{path: wire.TablePath(f.airport, st.Version), target: table, file: filepath.Join(dir, allowlist.TableFile)},
	}
	for _, text := range f.deltas {
		from, file, ok := strings.Cut(text, "=")
		v, err := strconv.ParseUint(from, 10, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("--delta %s: write it as VERSION=FILE", text)
		}
		delta := entry
		delta.Kind, delta.From = wire.KindDelta, v
		all = append(all, publication{path: wire.DeltaPath(f.airport, v, st.Version), target: delta, file: file})
	}
	return all, nil
}

// checkList refuses a list that no kiosk of the airport would take.
func checkList(r *repo.Repo, airport string, st allowlist.Statement, now time.Time) error {
	role, err := wire.AirportRole(airport)
	if err != nil {
		return err
	}
	if st.Airport != "" && st.Airport != airport {
		return fmt.Errorf("the list is for airport %s, not for %s", st.Airport, airport)
	}
	if !st.Expires.After(now) {
		return fmt.Errorf("the list expired at %s: build it again", st.Expires.Format(time.RFC3339))
	}
	if old := r.Targets(role)[wire.ListPath(airport)]; old != nil && old.Generation > st.Generation {
		return fmt.Errorf("generation %d of the list is older than %d, which is published", st.Generation, old.Generation)
	}
	return nil
}

// dropOldLists takes out what no kiosk fetches any more.
func dropOldLists(r *repo.Repo, airport string, st allowlist.Statement, now time.Time) error {
	role, err := wire.AirportRole(airport)
	if err != nil {
		return err
	}
	for path, t := range r.Targets(role) {
		old := t.Kind == wire.KindTable && t.Version < st.Version || t.Kind == wire.KindDelta && t.Generation < st.Generation ||
			t.Kind == wire.KindDelta && t.Version < st.Version && !t.Expires.After(now)
		if old {
			if err := r.Remove(path, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func publishRevocationsCommand() *cobra.Command {
	var f repoFlags
	var airport string
	var valid time.Duration
	cmd := &cobra.Command{
		Use:   "revocations FILE --airport XXX",
		Short: "Take people off an airport's list at once",
		Long: `Take people off an airport's list at once, before the next list does: a file
that gatectl list revoke made. It holds every change since the list in force
and can only remove. gatecentral signs it by itself; connected kiosks have it
in force within a second.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			next, err := allowlist.ParseRevocations(data)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.change(cmd, func(r *repo.Repo) error {
				now := time.Now().UTC().Truncate(time.Second)
				if err := checkRevocations(r, airport, next); err != nil {
					return err
				}
				p := publication{path: wire.RevocationsPath(airport), content: data,
					target: wire.Target{Kind: wire.KindRevocations, Version: next.Number, Issued: now, Expires: now.Add(valid)}}
				return p.add(r, now)
			})
		},
	}
	f.registerKeys(cmd)
	cmd.Flags().StringVar(&airport, "airport", "", "`IATA` code of the airport")
	cmd.Flags().DurationVar(&valid, "valid", repo.Validity(wire.RoleSoftware), "how long the file is valid")
	required(cmd, "airport")
	return cmd
}

// checkRevocations refuses a file with which a kiosk would miss a change, or
// that it would refuse: it must go back to what the list in force takes into
// account, and hold what the published one holds from there on.
func checkRevocations(r *repo.Repo, airport string, next *allowlist.Revocations) error {
	if _, err := wire.AirportRole(airport); err != nil {
		return err
	}
	raw, err := r.Content(wire.RevocationsPath(airport))
	if err == nil {
		old, err := allowlist.ParseRevocations(raw)
		if err != nil {
			return fmt.Errorf("the published file: %w", err)
		}
		if err := next.Follows(old, 0); err != nil {
			return fmt.Errorf("kiosks would refuse the file: %w", err)
		}
	} else if !errors.Is(err, repo.ErrNoTarget) {
		return err
	}
	raw, err = r.Content(wire.ListPath(airport))
	if errors.Is(err, repo.ErrNoTarget) {
		return nil // the first list comes later and takes them into account
	}
	if err != nil {
		return err
	}
	st, err := allowlist.ParseProven(raw)
	if err != nil {
		return err
	}
	if next.Base > st.Revoked {
		return fmt.Errorf("the file begins after change %d, the list in force knows changes up to %d: those between would be lost", next.Base, st.Revoked)
	}
	return nil
}

func publishRemoveCommand() *cobra.Command {
	return changing(&cobra.Command{
		Use:   "remove PATH...",
		Short: "Take targets out: kiosks no longer fetch them",
		Long: `Take targets out, by their paths as gatectl repo status --json and the drafts
show them: software/gateagent-1.4. Revocations and lists are not taken back by
this: kiosks keep what they have until it expires.`,
		Args: cobra.MinimumNArgs(1),
	}, func(_ *cobra.Command, r *repo.Repo, paths []string) error {
		for _, p := range paths {
			if strings.HasPrefix(p, wire.RoleRevocations+"/") {
				return fmt.Errorf("%s: a revocation is taken back by the next list, not by removing it", p)
			}
			if err := r.Remove(p, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// filesOf lists the plain files of a folder, without hidden ones.
func filesOf(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if !e.Type().IsRegular() {
			return nil, fmt.Errorf("%s: only plain files can be published", filepath.Join(dir, e.Name()))
		}
		all = append(all, filepath.Join(dir, e.Name()))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no file", dir)
	}
	slices.Sort(all)
	return all, nil
}
