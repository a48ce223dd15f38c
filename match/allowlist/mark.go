package allowlist

import (
	"bytes"
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

// mark remembers the newest list that was in force. It is the kiosk's only
// protection against an older list that is properly signed and not expired.
type mark struct {
	Generation uint32 `json:"generation"`
	Version    uint64 `json:"version"`
	Root       string `json:"root"`
}

func markOf(st Statement) mark {
	return mark{st.Generation, st.Version, hex.EncodeToString(st.Root[:])}
}

func (m mark) none() bool           { return m == mark{} }
func (m mark) folder() string       { return fmt.Sprintf("%s%d-%d", folderPrefix, m.Generation, m.Version) }
func (m mark) path(d string) string { return filepath.Join(d, m.folder()) }

func (m mark) root() (r [hashSize]byte) {
	hex.Decode(r[:], []byte(m.Root)) // readMark has checked it
	return r
}

// same says whether the statement is about the list of the mark.
func (m mark) same(st Statement) bool { return m == markOf(st) }

// admits refuses a list that is older than the one of the mark. The same list
// may come again, to repair it.
func (m mark) admits(st Statement) error {
	switch {
	case m.none() || m.same(st):
		return nil
	case st.Generation < m.Generation || st.Version < m.Version:
		return fmt.Errorf("%w: it is generation %d version %d, the kiosk has had generation %d version %d; build one with a higher version",
			ErrRegress, st.Generation, st.Version, m.Generation, m.Version)
	case st.Version == m.Version:
		return fmt.Errorf("%w: version %d is in use already with another content; build one with a higher version", ErrRegress, st.Version)
	}
	return nil
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
	b, err := readSmall(path, 1024)
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
		if raw, e := hex.DecodeString(m.Root); e != nil || len(raw) != hashSize || m.Version == 0 || m.Generation == 0 {
			err = errors.New("it states impossible values")
		}
	}
	if err != nil {
		return mark{}, fmt.Errorf("open allowlist: %s cannot be read, so an older list could not be told from a newer one: %w; remove the folder %s and load the list again", path, err, dir)
	}
	return m, nil
}

// sweep removes the folders of lists other than the one of the mark.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), folderPrefix) && (s.mark.none() || e.Name() != s.mark.folder()) {
			errs = append(errs, os.RemoveAll(filepath.Join(s.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
