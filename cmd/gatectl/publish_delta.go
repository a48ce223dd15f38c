package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"gateagent/central/repo"
	"gateagent/gate/wire"
	"gateagent/match/allowlist"
)

// checkDeltas tries every delta out before anybody signs it: with the list of
// the version that it leads from it must make the list that is published.
func (f *listFlags) checkDeltas(ctx context.Context, r *repo.Repo, all []publication, st allowlist.Statement) error {
	for i := range all {
		p := &all[i]
		if p.target.Kind != wire.KindDelta {
			continue
		}
		old, err := f.olderList(r, p.target.From)
		if err != nil {
			return fmt.Errorf("--delta %d=%s cannot be tried out: %w", p.target.From, p.file, err)
		}
		was := old.Statement()
		if err := errors.Join(tryDelta(ctx, old, p.file, st), old.Close()); err != nil {
			return fmt.Errorf("%s does not lead from %s to %s: %w", p.file, listName(was), listName(st), err)
		}
	}
	return nil
}

func listName(st allowlist.Statement) string {
	return fmt.Sprintf("generation %d version %d (root %x)", st.Generation, st.Version, st.Root[:8])
}

func tryDelta(ctx context.Context, old *allowlist.Table, file string, next allowlist.Statement) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	return errors.Join(allowlist.CheckDelta(ctx, old, in, next), in.Close())
}

// olderList opens the list of a version: the repository's, or one of --old.
func (f *listFlags) olderList(r *repo.Repo, version uint64) (*allowlist.Table, error) {
	for _, dir := range f.older {
		t, err := allowlist.OpenBuilt(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		if t.Statement().Version == version {
			return t, nil
		}
		if err := t.Close(); err != nil {
			return nil, err
		}
	}
	file, err := r.File(wire.TablePath(f.airport, version))
	if errors.Is(err, repo.ErrNoTarget) {
		return nil, fmt.Errorf("the repository does not hold the table of version %d; name its folder with --old", version)
	}
	if err != nil {
		return nil, err
	}
	statement, err := r.Content(wire.ListPath(f.airport))
	if err != nil {
		return nil, err
	}
	return allowlist.OpenTarget(statement, file)
}
