package allowlist

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gateagent/internal/durable"
)

const markFile = "mark"

// folderPrefix begins the names of the folders of lists in a Store.
const folderPrefix = "list-"

// listID names one list: nothing else has this statement.
type listID struct {
	Generation uint32 `json:"generation"`
	Version    uint64 `json:"version"`
	Root       string `json:"root"`
	Statement  string `json:"statement"` // SHA-256 of what was proven: the statement without its signature
	Revoked    uint64 `json:"revoked"`   // revocations that the table takes into account
}

func idOf(st Statement) listID {
	sum := sha256.Sum256(st.Marshal())
	return listID{st.Generation, st.Version, hex.EncodeToString(st.Root[:]), hex.EncodeToString(sum[:]), st.Revoked}
}

func (id listID) none() bool { return id == listID{} }
func (id listID) folder() string {
	return fmt.Sprintf("%s%d-%d", folderPrefix, id.Generation, id.Version)
}
func (id listID) path(d string) string { return filepath.Join(d, id.folder()) }

// check refuses what idOf never gives.
func (id listID) check() error {
	for _, sum := range []string{id.Root, id.Statement} {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
			return errImpossible
		}
	}
	if id.Version == 0 || id.Generation == 0 {
		return errImpossible
	}
	return nil
}

var errImpossible = errors.New("it states impossible values")

// mark remembers the list in force, the one before it, and the newest that
// ever was. It is the kiosk's only protection against an older list that is
// properly signed and not expired, and it is what stands for the proof of a
// list whose statement carries no signature of its own.
type mark struct {
	listID
	Newest   uint64  `json:"newest"` // the highest version that was ever in force
	Previous *listID `json:"previous,omitempty"`
	// Revocations is the number of the newest revocations in force: with an
	// older file, or none, the kiosk would admit whom it had refused.
	Revocations uint64 `json:"revocations"`
}

// same says whether the statement is about the list in force.
func (m mark) same(st Statement) bool { return m.listID == idOf(st) }

// admits refuses a list that is older than the newest that was in force, or
// that the kiosk was taken back from. The same list may come again, to repair
// it.
func (m mark) admits(st Statement) error {
	switch {
	case m.none() || m.same(st):
		return nil
	case st.Generation < m.Generation || st.Version < m.Newest:
		return fmt.Errorf("%w: it is generation %d version %d, the kiosk has had generation %d version %d; build one with a higher version",
			ErrRegress, st.Generation, st.Version, m.Generation, m.Newest)
	case st.Version == m.Newest:
		return fmt.Errorf("%w: version %d is in use already with another content, or the kiosk was taken back from it; build one with a higher version", ErrRegress, st.Version)
	}
	return nil
}

// followedBy gives the mark of a newer list, keeping the one in force as the
// previous one.
func (m mark) followedBy(st Statement) mark {
	next := mark{listID: idOf(st), Newest: max(m.Newest, st.Version), Previous: m.Previous, Revocations: m.Revocations}
	if !m.none() && !m.same(st) {
		old := m.listID
		next.Previous = &old
	}
	return next
}

// withoutNewest gives the mark of the previous list. The newest version stays:
// the list that is given up never comes in again.
func (m mark) withoutNewest() mark {
	return mark{listID: *m.Previous, Newest: m.Newest, Revocations: m.Revocations}
}

// settled gives the number up to which the list in force and the previous one
// both take revocations into account.
func (m mark) settled() uint64 {
	if m.Previous != nil {
		return min(m.Revoked, m.Previous.Revoked)
	}
	return m.Revoked
}

func (m mark) write(dir string) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, markFile), append(b, '\n'), 0o600)
}

// readMark fails on a mark that cannot be understood: to go on without one
// would let an older list in.
func readMark(dir string) (mark, error) {
	path := filepath.Join(dir, markFile)
	b, err := readSmall(path, 4096)
	if errors.Is(err, os.ErrNotExist) {
		return mark{}, nil
	}
	var m mark
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		err = d.Decode(&m)
	}
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return mark{}, fmt.Errorf("open allowlist: %s cannot be read, so an older list could not be told from a newer one: %w; remove the folder %s and load the list again", path, err, dir)
	}
	return m, nil
}

// check refuses a mark that write never wrote. Before the first list it holds
// revocations alone.
func (m mark) check() error {
	if m.none() && m.Revocations > 0 && m.Previous == nil && m.Newest == 0 {
		return nil
	}
	if err := m.listID.check(); err != nil {
		return err
	}
	if m.Newest < m.Version {
		return errImpossible
	}
	if m.Previous != nil {
		return m.Previous.check()
	}
	return nil
}

// marked gives the mark as it stands.
func (s *Store) marked() mark {
	s.marking.Lock()
	defer s.marking.Unlock()
	return s.mark
}

// remark changes the mark, on the disk first.
func (s *Store) remark(change func(mark) mark) error {
	s.marking.Lock()
	defer s.marking.Unlock()
	next := change(s.mark)
	if err := next.write(s.dir); err != nil {
		return err
	}
	s.mark = next
	return nil
}

// sweep removes the folders of lists other than the one in force and the
// previous one.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	keep, m := map[string]bool{}, s.marked()
	if !m.none() {
		keep[m.folder()] = true
	}
	if m.Previous != nil {
		keep[m.Previous.folder()] = true
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), folderPrefix) && !keep[e.Name()] {
			errs = append(errs, os.RemoveAll(filepath.Join(s.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
