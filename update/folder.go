package update

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gateagent/internal/durable"
)

// FolderApplier puts the targets of a role into a folder of its own, under
// the last part of their paths: the folder holds exactly what the role names.
type FolderApplier struct {
	// Of is the role.
	Of string
	// Dir is exchanged as a whole, in one step.
	Dir string
	// Check judges a folder before it takes the place of the one in force.
	// What it refuses, it refuses for good.
	Check func(dir string) error
	// Took is told when the folder is in force, at the start as well.
	Took func(dir string) error
}

// Role is the one that it was made for.
func (a *FolderApplier) Role() string { return a.Of }

// Apply brings all targets, checks them together and exchanges the folder.
// A role that has never named anything leaves no folder.
func (a *FolderApplier) Apply(ctx context.Context, p Push) (InForce, error) {
	in := InForce{Detail: digest(p.Targets)}
	for _, t := range p.Targets {
		in.Version = max(in.Version, t.Version)
	}
	if _, err := os.Stat(a.Dir); len(p.Targets) == 0 && errors.Is(err, os.ErrNotExist) {
		return InForce{}, nil
	}
	if !a.holds(p.Targets) {
		if err := a.exchange(ctx, p); err != nil {
			return InForce{}, err
		}
	}
	if a.Took != nil {
		return in, a.Took(a.Dir)
	}
	return in, nil
}

// holds says whether the folder is what is wanted already, byte by byte.
func (a *FolderApplier) holds(targets []Target) bool {
	entries, err := os.ReadDir(a.Dir)
	if err != nil || len(entries) != len(targets) {
		return false
	}
	for _, t := range targets {
		if sum, err := hashFile(filepath.Join(a.Dir, t.Name())); err != nil || sum != t.SHA256 {
			return false
		}
	}
	return true
}

func (a *FolderApplier) exchange(ctx context.Context, p Push) error {
	temp, err := durable.MkdirTemp(a.Dir)
	if err != nil {
		return err
	}
	err = fillFolder(ctx, temp, p)
	if err == nil && a.Check != nil {
		if bad := a.Check(temp); bad != nil {
			err = fmt.Errorf("%w: %w", ErrFinal, bad)
		}
	}
	if err == nil {
		err = durable.CommitFolder(temp, a.Dir)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return nil
}

func fillFolder(ctx context.Context, dir string, p Push) error {
	for _, t := range p.Targets {
		path, err := p.Fetch(ctx, t)
		if err != nil {
			return err
		}
		if err := copyFile(path, filepath.Join(dir, t.Name())); err != nil {
			return err
		}
	}
	return nil
}
