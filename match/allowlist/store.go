package allowlist

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gateagent/gate"
	"gateagent/internal/durable"
)

// clockSkew is how far a list's issue may lie in the kiosk's future: clocks of
// central and kiosk never agree to the second.
const clockSkew = 5 * time.Minute

// Options of a Store.
type Options struct {
	Keys []ed25519.PublicKey // who may sign lists; none refuses every list
	Log  *slog.Logger
}

// Store holds the list in force in a folder of its own and answers from it.
// It implements gate.Allowlist. Look-ups go on while a list is loaded; a list
// that is refused changes nothing.
//
// The folder holds the file "mark", which remembers the newest list that was
// ever in force, and that list in a folder of its own.
type Store struct {
	dir  string
	keys []ed25519.PublicKey
	log  *slog.Logger

	loading sync.Mutex // held by Load: one at a time; guards mark
	mark    mark

	mu      sync.RWMutex // guards what follows; readers hold it while they read pages
	table   *Table       // nil: no list is in force
	code    gate.Code    // why there is none
	problem string       // of the last load, or of the list in force
	rotten  bool         // a page of the list in force could not be proven
}

// OpenStore opens the folder, making it when it is absent, and the list that
// was in force when it was last used. A list that cannot be opened any more is
// no error: Lookup answers ListUnavailable, Status says why, and the same list
// may be loaded again. Only one Store may use a folder.
func OpenStore(dir string, opts Options) (*Store, error) {
	if opts.Log == nil {
		return nil, errors.New("open allowlist: no logger")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open allowlist: %w", err)
	}
	s := &Store{dir: dir, keys: opts.Keys, log: opts.Log, code: gate.CodeListAbsent}
	var err error
	if s.mark, err = readMark(dir); err != nil {
		return nil, err
	}
	if err := errors.Join(durable.RemoveTemps(dir), s.sweep()); err != nil {
		return nil, fmt.Errorf("open allowlist: %w", err)
	}
	if s.mark.none() {
		return s, nil
	}
	table, err := s.openFolder(s.mark.path(dir))
	if err == nil && table.st.Root != s.mark.root() {
		err = errors.Join(fmt.Errorf("%w: it is not the list that was in force", ErrDamaged), table.Close())
	}
	if err != nil {
		if s.problem = err.Error(); errors.Is(err, ErrDamaged) {
			s.code = gate.CodeListDamaged
		}
		s.log.Error("list in force cannot be opened; nobody is admitted until one is loaded", "generation", s.mark.Generation, "version", s.mark.Version, "error", err)
		return s, nil
	}
	s.table = table
	return s, nil
}

// openFolder opens a list together with its secret.
func (s *Store) openFolder(dir string) (*Table, error) {
	secret, err := ReadSecret(filepath.Join(dir, SecretFile))
	if err != nil {
		return nil, fmt.Errorf("read list secret: %w", err)
	}
	return Open(dir, s.keys, secret)
}

// Load takes the list in the folder from into force: it copies it, proves
// every page, remembers it on disk, and then swaps it in under the readers.
// Whatever is wrong, the list in force stays, and Status says what it was. It
// needs room for a second list.
func (s *Store) Load(ctx context.Context, from string, at gate.TrustedTime) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	st, err := s.load(ctx, from, at)
	if err != nil {
		s.mu.Lock()
		s.problem = err.Error()
		s.mu.Unlock()
		return fmt.Errorf("load list from %s: %w", from, err)
	}
	s.log.Info("list in force", "generation", st.Generation, "version", st.Version, "entries", st.Entries, "expires", st.Expires)
	return nil
}

func (s *Store) load(ctx context.Context, from string, at gate.TrustedTime) (Statement, error) {
	raw, err := readSmall(filepath.Join(from, StatementFile), statementSize)
	if err != nil {
		return Statement{}, err
	}
	st, err := VerifyStatement(raw, s.keys)
	if err != nil {
		return st, err
	}
	if err := s.timely(st, at); err != nil {
		return st, err
	}
	if s.mark.same(st) && s.sound() {
		s.mu.Lock()
		s.problem = ""
		s.mu.Unlock()
		return st, nil
	}
	if err := s.mark.admits(st); err != nil {
		return st, err
	}
	next := markOf(st)
	temp, err := durable.MkdirTemp(next.path(s.dir))
	if err != nil {
		return st, err
	}
	table, err := s.stage(ctx, from, temp, st, raw)
	if err != nil {
		return st, errors.Join(err, os.RemoveAll(temp))
	}
	if err := s.commit(temp, next); err != nil {
		return st, errors.Join(err, table.Close(), os.RemoveAll(temp))
	}
	s.swap(table)
	if err := s.sweep(); err != nil {
		s.log.Warn("an old list could not be removed", "error", err)
	}
	return st, nil
}

// timely judges a statement by the kiosk's clock.
func (s *Store) timely(st Statement, at gate.TrustedTime) error {
	switch {
	case !at.Trusted:
		return fmt.Errorf("%w: its age cannot be judged; restore time synchronisation", ErrClock)
	case !at.Now.Before(st.Expires):
		return fmt.Errorf("%w on %s; push a current list", ErrExpired, st.Expires.Format(time.RFC3339))
	case at.Now.Add(clockSkew).Before(st.Issued):
		return fmt.Errorf("%w: it is issued on %s; look at the kiosk's clock and at central's", ErrTooNew, st.Issued.Format(time.RFC3339))
	}
	return nil
}

// sound says whether the list in force has shown no damage.
func (s *Store) sound() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.table != nil && !s.rotten
}

// stage copies a list and proves the copy, every page of it.
func (s *Store) stage(ctx context.Context, from, temp string, st Statement, signed []byte) (*Table, error) {
	if err := os.WriteFile(filepath.Join(temp, StatementFile), signed, 0o600); err != nil {
		return nil, err
	}
	if err := copyFile(ctx, filepath.Join(from, SecretFile), filepath.Join(temp, SecretFile), maxSecretFile); err != nil {
		return nil, err
	}
	if err := copyFile(ctx, filepath.Join(from, TableFile), filepath.Join(temp, TableFile), st.fileSize()); err != nil {
		return nil, err
	}
	table, err := s.openFolder(temp)
	if err != nil {
		return nil, err
	}
	if err := table.Verify(ctx); err != nil {
		return nil, errors.Join(err, table.Close())
	}
	return table, nil
}

// commit makes the staged list the one that a restart opens.
func (s *Store) commit(temp string, next mark) error {
	if err := durable.CommitFolder(temp, next.path(s.dir)); err != nil {
		return err
	}
	if err := next.write(s.dir); err != nil {
		return err
	}
	s.mark = next
	return nil
}

// swap puts a table into force. It waits for the look-ups that are under way,
// a few reads each, and no look-up sees two lists.
func (s *Store) swap(table *Table) {
	s.mu.Lock()
	old := s.table
	s.table, s.code, s.problem, s.rotten = table, 0, "", false
	s.mu.Unlock()
	if old != nil {
		if err := old.Close(); err != nil {
			s.log.Warn("closing the old list failed", "error", err)
		}
	}
}

// Close releases the list in force; afterwards every look-up is unavailable.
func (s *Store) Close() error {
	s.loading.Lock()
	defer s.loading.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table == nil {
		return nil
	}
	err := s.table.Close()
	s.table, s.code = nil, gate.CodeListAbsent
	return err
}
