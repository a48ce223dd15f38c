package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// The inbox is where a repository from a stick waits for the agent: each a
// folder of its own, put there whole by Import. The agent proves it as it
// proves a mirror, and leaves a Verdict beside it.
const (
	inboxFolder = "inbox"
	verdictEnd  = ".verdict"
)

// Verdict is what the agent made of an import.
type Verdict struct {
	Taken   bool   `json:"taken"`
	Problem string `json:"problem,omitempty"`
	Status  Status `json:"status"`
}

// ErrWaiting says that the import lies in the inbox and no agent has looked
// at it yet.
var ErrWaiting = errors.New("the agent has not looked at it; it is taken when the agent runs")

// takeInbox takes what was imported. The appliers work beside it, so that no
// revocation waits for a stick.
func (u *Updater) takeInbox(ctx context.Context) {
	dir := filepath.Join(u.cfg.Dir, inboxFolder)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // nobody has imported anything
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !e.IsDir() || strings.HasPrefix(e.Name(), durable.TempPrefix) || u.inHand[path] {
			continue
		}
		u.inHand[path] = true
		src := Folder(path)
		done := make(chan struct{})
		err := u.refresh(ctx, src, nil)
		if err != nil {
			u.refused("import", err)
			close(done)
		} else {
			u.mu.Lock()
			c := u.latest
			u.mu.Unlock()
			u.hand(job{c: c, src: src, done: done})
		}
		u.imports.Go(func() {
			select {
			case <-done:
				u.verdict(path, err)
			case <-ctx.Done():
			}
		})
	}
}

// verdict leaves what became of an import and removes it.
func (u *Updater) verdict(path string, err error) {
	if err == nil {
		err = u.problems()
	}
	v := Verdict{Taken: err == nil, Status: u.Status()}
	if err != nil {
		v.Problem = err.Error()
	}
	gone := os.RemoveAll(path)
	b, err := json.Marshal(v)
	if err == nil {
		err = durable.WriteFile(path+verdictEnd, b, 0o600)
	}
	if err = errors.Join(err, gone); err != nil {
		u.log.Error("import", "err", err)
	}
}

// problems joins what is wrong with the roles.
func (u *Updater) problems() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var errs []error
	for role, r := range u.roles {
		if r.problem != "" {
			errs = append(errs, fmt.Errorf("%s: %s", role, r.problem))
		}
	}
	return errors.Join(errs...)
}

// Import copies the repository in from into the inbox of the update folder
// dir and waits until the agent has judged it, or ctx ends (ErrWaiting). It
// judges nothing itself. progress is told of each file; nil tells nobody.
func Import(ctx context.Context, dir, from string, progress func(file string)) (Verdict, error) {
	var v Verdict
	if _, err := os.Stat(filepath.Join(from, wire.RepoMetadata, "timestamp.json")); err != nil {
		return v, fmt.Errorf("%s holds no repository: %w", from, err)
	}
	inbox := filepath.Join(dir, inboxFolder)
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		return v, err
	}
	temp, err := durable.MkdirTemp(filepath.Join(inbox, "import"))
	if err != nil {
		return v, err
	}
	for _, sub := range []string{wire.RepoMetadata, wire.RepoTargets} {
		if err := copyTree(ctx, filepath.Join(from, sub), filepath.Join(temp, sub), progress); err != nil {
			return v, errors.Join(err, os.RemoveAll(temp))
		}
	}
	final := filepath.Join(inbox, time.Now().UTC().Format("20060102T150405.000000000"))
	if err := durable.Rename(temp, final); err != nil {
		return v, errors.Join(err, os.RemoveAll(temp))
	}
	return awaitVerdict(ctx, final+verdictEnd)
}

func awaitVerdict(ctx context.Context, path string) (Verdict, error) {
	var v Verdict
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := readAtMost(path, 1<<20)
		if err == nil {
			return v, errors.Join(json.Unmarshal(b, &v), os.Remove(path))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, ErrWaiting
		case <-tick.C:
		}
	}
}

// copyTree copies files and folders, and nothing that leads elsewhere.
func copyTree(ctx context.Context, from, to string, progress func(string)) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if path == from && errors.Is(err, fs.ErrNotExist) {
				return nil // a repository may hold no target
			}
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case e.IsDir():
			return os.MkdirAll(target, 0o700)
		case !e.Type().IsRegular():
			return nil
		}
		if progress != nil {
			progress(rel)
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
