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
	returnEnd   = ".return" // a file: go back to the list before
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
		if strings.HasSuffix(e.Name(), returnEnd) && e.Type().IsRegular() && !u.inHand[path] {
			u.inHand[path] = true
			u.imports.Go(func() { u.verdict(path, u.goBack()) })
			continue
		}
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

// verdict leaves what became of an import or return and removes it.
func (u *Updater) verdict(path string, err error) {
	if err == nil && !strings.HasSuffix(path, returnEnd) {
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

// goBack puts the airport's list in force that was so before the newest.
func (u *Updater) goBack() error {
	role, err := wire.AirportRole(u.cfg.Airport)
	if err != nil {
		return err
	}
	a, ok := u.byRole[role].(Returner)
	if !ok {
		return errors.New("this kiosk takes no lists")
	}
	was, err := a.Return()
	if err != nil {
		return err
	}
	version, _ := u.vouched(was.Statement) // a list that came by hand has none
	u.mu.Lock()
	defer u.mu.Unlock()
	r := u.roles[role]
	if r == nil {
		r = &roleState{}
		u.roles[role] = r
	}
	r.problem = fmt.Sprintf("staff took the kiosk back to version %d; the list after it never comes in again: publish one with a higher version", was.Version)
	r.in, r.meta, r.since, r.issued, r.expires = was.InForce, version, u.cfg.Time().Now, was.Issued, was.Expires
	u.log.Warn("the list before is in force again", "role", role, "version", was.Version)
	return nil
}

// forgetReturns drops what was asked of an agent that did not run: who asked
// was told that nothing happens.
func (u *Updater) forgetReturns() {
	old, err := filepath.Glob(filepath.Join(u.cfg.Dir, inboxFolder, "*"+returnEnd))
	for _, path := range old {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		u.log.Warn("update inbox", "err", err)
	}
}

// Return asks the agent of the update folder dir to go back to the list before
// the newest, and waits until it has, or ctx ends (ErrWaiting). The agent
// judges whether that list still counts.
func Return(ctx context.Context, dir string) (Verdict, error) {
	inbox := filepath.Join(dir, inboxFolder)
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		return Verdict{}, err
	}
	path := filepath.Join(inbox, time.Now().UTC().Format("20060102T150405.000000000")+returnEnd)
	if err := durable.WriteFile(path, nil, 0o600); err != nil {
		return Verdict{}, err
	}
	v, err := awaitVerdict(ctx, path+verdictEnd)
	if errors.Is(err, ErrWaiting) {
		// Nobody wants the list of today to go once the agent runs again.
		err = errors.Join(errors.New("the agent does not run, or takes no updates: nothing was changed"), os.Remove(path))
	}
	return v, err
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
