package allowlist

import (
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
	Keys []ed25519.PublicKey // who may sign lists that carry a signature of their own; none refuses those
	// Airport is the IATA code of the kiosk's airport: a list for another one
	// is refused. Empty takes any.
	Airport string
	// Secret gives the secret of a generation where lists do not bring it as a
	// file; the store wipes what it gets. Nil: list.key.
	Secret func(generation uint32) (*GenerationSecret, error)
	// Keep keeps a secret that came as a file, for Secret to give: it then never
	// lies beside a list, and one that does is taken away. Nil: it lies there.
	Keep func(*GenerationSecret) error
	// Prove is asked about the statement in force at start, and about the
	// previous one before the store goes back to it, when it carries no
	// signature of its own: whether the update repository's metadata still
	// vouches for it. Nil: the store's mark alone does.
	Prove func(statement []byte) error
	Log   *slog.Logger
}

// Store holds the list in force in a folder of its own and answers from it.
// It implements gate.Allowlist. Look-ups go on while a list is loaded or a
// delta merged; a list that is refused changes nothing.
//
// The folder holds the file "mark", which remembers the newest list that was
// ever in force, that list and the one before it in a folder each, and the
// revocations.
type Store struct {
	dir  string
	opts Options
	log  *slog.Logger

	loading  sync.Mutex // held while a list is brought into force: one at a time
	revoking sync.Mutex // held while revocations are: they wait for no list
	marking  sync.Mutex // held while the mark is written; guards it
	mark     mark
	reached  func(step string) // after every step of that which a power cut may follow; nil but in tests

	mu      sync.RWMutex // guards what follows; readers hold it while they read pages
	table   *Table       // nil: no list is in force
	code    gate.Code    // why there is none
	problem string       // of the last load, or of the list in force
	rotten  bool         // a page of the list in force could not be proven
	revoked revoked
}

// OpenStore opens the folder, making it when it is absent, the revocations, and
// the list that was in force when it was last used, without reading that. A
// list that cannot be opened any more is no error: Lookup answers
// ListUnavailable, Status says why, and the same list may be loaded again. Only
// one Store may use a folder.
func OpenStore(dir string, opts Options) (*Store, error) {
	if opts.Log == nil {
		return nil, errors.New("open allowlist: no logger")
	}
	if err := checkAirport(opts.Airport); err != nil {
		return nil, fmt.Errorf("open allowlist: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open allowlist: %w", err)
	}
	s := &Store{dir: dir, opts: opts, log: opts.Log, code: gate.CodeListAbsent}
	var err error
	if s.mark, err = readMark(dir); err != nil {
		return nil, err
	}
	if err := durable.RemoveTemps(dir); err != nil {
		return nil, fmt.Errorf("open allowlist: %w", err)
	}
	s.openRevocations()
	s.clearBeside()
	if s.mark.none() {
		return s, nil
	}
	table, err := s.openProven(s.mark.listID)
	if err != nil {
		if s.problem = err.Error(); errors.Is(err, ErrDamaged) {
			s.code = gate.CodeListDamaged
		}
		s.log.Error("list in force cannot be opened; nobody is admitted until one is loaded", "generation", s.mark.Generation, "version", s.mark.Version, "error", err)
		return s, nil
	}
	s.table = table
	return s, s.sweep() // not before: a damaged mark must cost no list
}

// openProven opens a list of the store whose statement counts today.
func (s *Store) openProven(id listID) (*Table, error) {
	table, err := s.openFolder(id.path(s.dir), id)
	if err == nil {
		if err = s.prove(table.st); err != nil {
			err = errors.Join(err, table.Close())
		}
	}
	return table, err
}

// prove asks whether somebody vouches for a statement that carries no signature
// of its own.
func (s *Store) prove(st Statement) error {
	if s.opts.Prove == nil || st.KeyID != [8]byte{} {
		return nil
	}
	if err := s.opts.Prove(st.Marshal()); err != nil {
		return fmt.Errorf("%w: the update repository does not vouch for it: %w", ErrUnsigned, err)
	}
	return nil
}

// Reprove asks Options.Prove about the list in force again, after what it goes
// by has changed. A list for which nobody vouches any more, since its key was
// taken away, answers no more, and the error says so.
func (s *Store) Reprove() error {
	s.loading.Lock()
	defer s.loading.Unlock()
	st, ok := s.InForce()
	if !ok {
		return nil
	}
	err := s.prove(st)
	if err == nil {
		return nil
	}
	s.mu.Lock()
	old := s.table
	s.table, s.code, s.problem, s.rotten = nil, gate.CodeListAbsent, err.Error(), false
	s.mu.Unlock()
	s.log.Error("list out of force; nobody is admitted until one is loaded", "generation", st.Generation, "version", st.Version, "error", err)
	return errors.Join(err, old.Close())
}

// Reopen tries the list that was in force last once more, where it could not be
// opened: its secret may have come.
func (s *Store) Reopen() error {
	s.loading.Lock()
	defer s.loading.Unlock()
	had := s.marked()
	if _, open := s.InForce(); open || had.none() {
		return nil
	}
	table, err := s.openProven(had.listID)
	if err != nil {
		return fmt.Errorf("open the list again: %w", err)
	}
	s.swap(table)
	s.log.Info("list in force again", "generation", table.st.Generation, "version", table.st.Version)
	return nil
}

// openFolder opens a list together with its secret. It must be the one that id
// names; a statement with a signature must have a good one besides.
func (s *Store) openFolder(dir string, id listID) (*Table, error) {
	raw, err := readSmall(filepath.Join(dir, StatementFile), statementSize)
	if err != nil {
		return nil, fmt.Errorf("read list statement: %w", err)
	}
	var st Statement
	if len(raw) == statementBody {
		st, err = ParseProven(raw)
	} else {
		st, err = VerifyStatement(raw, s.opts.Keys)
	}
	if err != nil {
		return nil, err
	}
	if idOf(st) != id {
		return nil, fmt.Errorf("%w: it is not the list that was in force", ErrDamaged)
	}
	secret, err := s.secret(dir, st.Generation)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe()
	return openTable(dir, st, secret)
}

// secret of the list in a folder. One that lies there is taken away where
// secrets are kept elsewhere.
func (s *Store) secret(dir string, generation uint32) (*GenerationSecret, error) {
	path := filepath.Join(dir, SecretFile)
	secret, err := ReadSecret(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && s.opts.Secret != nil:
		secret, err = s.kept(generation)
	case err == nil && s.opts.Keep != nil:
		if err = s.opts.Keep(secret); err == nil {
			err = durable.Erase(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read list secret: %w", err)
	}
	return secret, nil
}

// clearBeside takes away secrets that lie beside lists from before they were
// kept elsewhere, the previous list's too.
func (s *Store) clearBeside() {
	if s.opts.Keep == nil {
		return
	}
	beside, _ := filepath.Glob(filepath.Join(s.dir, "*", SecretFile)) // only a bad pattern is an error
	for _, path := range beside {
		secret, err := ReadSecret(path)
		if err == nil {
			err = s.opts.Keep(secret)
			secret.Wipe()
		}
		if err == nil {
			err = durable.Erase(path)
		}
		if err != nil {
			s.log.Warn("a list secret still lies in clear beside its list", "error", err)
		}
	}
}

// errNoSecret: a secret is not here yet and may come.
var errNoSecret = errors.New("it has not come yet")

// kept asks for a secret that lies beside no list.
func (s *Store) kept(generation uint32) (*GenerationSecret, error) {
	secret, err := s.opts.Secret(generation)
	if err == nil && secret == nil {
		err = fmt.Errorf("%w: there is none for generation %d: %w", ErrSecret, generation, errNoSecret)
	}
	return secret, err
}

// has says whether a secret is kept, before anything is copied for it.
func (s *Store) has(generation uint32) error {
	secret, err := s.kept(generation)
	if err == nil {
		secret.Wipe()
	}
	return err
}

// InForce gives the statement of the list in force; false when there is none.
func (s *Store) InForce() (Statement, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.table == nil {
		return Statement{}, false
	}
	return s.table.st, true
}

// Sound says whether there is a list in force that has shown no damage.
func (s *Store) Sound() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.table != nil && !s.rotten
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
