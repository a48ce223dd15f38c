package allowlist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gateagent/gate"
	"gateagent/internal/durable"
)

// arrival is a list on its way into force: what its statement says, the bytes
// of that, and how its table and secret come into an empty folder.
type arrival struct {
	from  string // where it comes from, for messages
	st    Statement
	raw   []byte
	stage func(ctx context.Context, temp string) error
	// proven: the table's pages were proven against the root while they were
	// written; otherwise all are read again.
	proven bool
	// linked: the table lies on this disk already and gets a second name.
	linked bool
}

// Load takes the list in the folder from into force, whose statement carries a
// signature of its own: it copies it, proves every page, remembers it on disk,
// and then swaps it in under the readers. Whatever is wrong, the list in force
// stays, and Status says what it was. It needs room for one more list.
func (s *Store) Load(ctx context.Context, from string, at gate.TrustedTime) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	a := arrival{from: from}
	raw, err := readSmall(filepath.Join(from, StatementFile), statementSize)
	if err == nil {
		a.raw = raw
		a.st, err = VerifyStatement(raw, s.opts.Keys)
	}
	a.stage = func(ctx context.Context, temp string) error {
		if err := s.bringSecret(ctx, from, temp, a.st.Generation); err != nil {
			return err
		}
		return copyFile(ctx, filepath.Join(from, TableFile), filepath.Join(temp, TableFile), a.st.fileSize())
	}
	return s.bring(ctx, &a, err, at)
}

// LoadProven takes a whole list into force whose statement (Statement.Marshal)
// the caller has proven; table is the path of its table, which is proven page by
// page against it. Nobody may write to that file any more: where it lies on the
// same disk it is not copied but gets a second name. The secret may be nil where
// Options.Secret or the list in force has that of the generation; one that is
// given is kept beside the list. Everything else is as with Load.
func (s *Store) LoadProven(ctx context.Context, statement []byte, table string, secret *GenerationSecret, at gate.TrustedTime) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	a := arrival{from: table, raw: statement}
	var err error
	a.st, err = ParseProven(statement)
	a.stage = func(ctx context.Context, temp string) error {
		if err := s.stageSecret(temp, secret, a.st.Generation); err != nil {
			return err
		}
		to := filepath.Join(temp, TableFile)
		if a.linked && os.Link(table, to) == nil {
			return nil
		}
		return copyFile(ctx, table, to, a.st.fileSize())
	}
	a.linked = linkable(table, s.dir)
	return s.bring(ctx, &a, err, at)
}

// ApplyDelta makes the next version out of the list in force and the delta in a
// file, and takes it into force. The statement is the next version's, proven by
// the caller as with LoadProven; what comes of the merge must have its root.
// ErrBase says that the delta starts elsewhere or that the list in force is
// damaged: only the whole list helps then. The list in force answers
// meanwhile, and stays as the previous one; room is needed for one more list.
func (s *Store) ApplyDelta(ctx context.Context, statement []byte, delta string, at gate.TrustedTime) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	a := arrival{from: delta, raw: statement, proven: true}
	var err error
	a.st, err = ParseProven(statement)
	a.stage = func(ctx context.Context, temp string) error {
		had := s.marked()
		if had.none() {
			return fmt.Errorf("%w: no list is in force", ErrBase)
		}
		if err := s.stageSecret(temp, nil, a.st.Generation); err != nil {
			return err
		}
		old, err := s.openFolder(had.path(s.dir), had.listID)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBase, err)
		}
		f, _, err := openRegular(delta)
		if err != nil {
			return errors.Join(err, old.Close())
		}
		return errors.Join(Merge(ctx, old, f, a.st, filepath.Join(temp, TableFile)), f.Close(), old.Close())
	}
	return s.bring(ctx, &a, err, at)
}

// Rollback takes the previous list into force again, and never again the one
// that was: only a higher version than that comes in afterwards. A previous list
// that has expired, or for which nobody vouches any more, is refused, and who
// was revoked stays so. For staff whose newest list turns out to be wrong.
func (s *Store) Rollback(at gate.TrustedTime) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	had := s.marked()
	if had.Previous == nil {
		return errors.New("roll list back: the kiosk holds no previous list; push a corrected one with a higher version")
	}
	table, err := s.openProven(*had.Previous)
	if err != nil {
		return fmt.Errorf("roll list back: %w", err)
	}
	if err := s.timely(table.st, at); err != nil {
		return errors.Join(fmt.Errorf("roll list back: %w", err), table.Close())
	}
	if err := s.remark(mark.withoutNewest); err != nil {
		return errors.Join(fmt.Errorf("roll list back: %w", err), table.Close())
	}
	s.step("mark written")
	s.swap(table)
	s.log.Warn("previous list in force again", "generation", table.st.Generation, "version", table.st.Version)
	return s.sweep()
}

// bring takes a list into force, unless proving its statement has failed
// already, and remembers what was wrong.
func (s *Store) bring(ctx context.Context, a *arrival, err error, at gate.TrustedTime) error {
	if err == nil {
		err = s.take(ctx, a, at)
	}
	if err != nil {
		s.mu.Lock()
		s.problem = err.Error()
		s.mu.Unlock()
		return fmt.Errorf("load list from %s: %w", a.from, err)
	}
	s.log.Info("list in force", "generation", a.st.Generation, "version", a.st.Version, "entries", a.st.Entries, "expires", a.st.Expires)
	return nil
}

func (s *Store) take(ctx context.Context, a *arrival, at gate.TrustedTime) error {
	if err := s.timely(a.st, at); err != nil {
		return err
	}
	had := s.marked()
	if had.same(a.st) && s.Sound() {
		s.mu.Lock()
		s.problem = ""
		s.mu.Unlock()
		return nil
	}
	if err := errors.Join(had.admits(a.st), s.roomFor(a)); err != nil {
		return err
	}
	temp, err := durable.MkdirTemp(idOf(a.st).path(s.dir))
	if err != nil {
		return err
	}
	s.step("folder made")
	table, err := s.fill(ctx, a, temp)
	if err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	s.step("folder filled")
	if err := s.commit(temp, a.st); err != nil {
		return errors.Join(err, table.Close(), os.RemoveAll(temp))
	}
	s.swap(table)
	s.step("swapped")
	if err := s.sweep(); err != nil {
		s.log.Warn("an old list could not be removed", "error", err)
	}
	s.step("swept")
	return nil
}

// timely judges a statement by the kiosk's clock and place.
func (s *Store) timely(st Statement, at gate.TrustedTime) error {
	switch {
	case !at.Trusted:
		return fmt.Errorf("%w: its age cannot be judged; restore time synchronisation", ErrClock)
	case !at.Now.Before(st.Expires):
		return fmt.Errorf("%w on %s; push a current list", ErrExpired, st.Expires.Format(time.RFC3339))
	case at.Now.Add(clockSkew).Before(st.Issued):
		return fmt.Errorf("%w: it is issued on %s; look at the kiosk's clock and at central's", ErrTooNew, st.Issued.Format(time.RFC3339))
	case s.opts.Airport != "" && st.Airport != "" && st.Airport != s.opts.Airport:
		return fmt.Errorf("%w: it is for %s and this kiosk stands at %s; push the right one", ErrAirport, st.Airport, s.opts.Airport)
	}
	return nil
}

// spareRoom is what stays free beside a list: for the mark, revocations, and
// results that are written meanwhile.
const spareRoom = 16 << 20

// roomFor says beforehand whether a list fits on the disk.
func (s *Store) roomFor(a *arrival) error {
	free, _, err := durable.Space(s.dir)
	if err != nil {
		return err
	}
	need := uint64(spareRoom)
	if !a.linked {
		need += a.st.fileSize()
	}
	if uint64(free) < need {
		return fmt.Errorf("%w: the list needs %d MiB in %s and %d are free; make room", ErrSpace, need>>20, s.dir, free>>20)
	}
	return nil
}

// fill makes a list in an empty folder and proves it.
func (s *Store) fill(ctx context.Context, a *arrival, temp string) (*Table, error) {
	if err := os.WriteFile(filepath.Join(temp, StatementFile), a.raw, 0o600); err != nil {
		return nil, err
	}
	if err := a.stage(ctx, temp); err != nil {
		return nil, err
	}
	s.step("files staged")
	table, err := s.openFolder(temp, idOf(a.st))
	if err != nil {
		return nil, err
	}
	if a.proven {
		return table, nil
	}
	if err := table.Verify(ctx); err != nil {
		return nil, errors.Join(err, table.Close())
	}
	return table, nil
}

// bringSecret takes the secret that a list brings, or looks for the one that is
// kept.
func (s *Store) bringSecret(ctx context.Context, from, temp string, generation uint32) error {
	path := filepath.Join(from, SecretFile)
	var err error
	if s.opts.Keep == nil {
		err = copyFile(ctx, path, filepath.Join(temp, SecretFile), maxSecretFile)
	} else {
		var secret *GenerationSecret
		if secret, err = ReadSecret(path); err == nil {
			err = s.opts.Keep(secret)
			secret.Wipe()
		}
	}
	if errors.Is(err, os.ErrNotExist) && s.opts.Secret != nil {
		return s.has(generation)
	}
	return err
}

// stageSecret puts a generation's secret into a new list's folder, unless it
// is kept elsewhere.
func (s *Store) stageSecret(temp string, secret *GenerationSecret, generation uint32) error {
	switch {
	case secret != nil && s.opts.Keep != nil:
		return s.opts.Keep(secret)
	case secret == nil && s.opts.Secret != nil:
		return s.has(generation)
	case secret == nil:
		had := s.marked()
		if had.none() || had.Generation != generation {
			return fmt.Errorf("%w: that of generation %d is not here; bring it with the list", ErrSecret, generation)
		}
		var err error
		if secret, err = ReadSecret(filepath.Join(had.path(s.dir), SecretFile)); err != nil {
			return err
		}
	}
	return secret.Write(filepath.Join(temp, SecretFile))
}

// commit makes the staged list the one that a restart opens.
func (s *Store) commit(temp string, st Statement) error {
	if err := durable.CommitFolder(temp, idOf(st).path(s.dir)); err != nil {
		return err
	}
	s.step("folder in place")
	if err := s.remark(func(m mark) mark { return m.followedBy(st) }); err != nil {
		return err
	}
	s.step("mark written")
	return nil
}

func (s *Store) step(name string) {
	if s.reached != nil {
		s.reached(name)
	}
}
