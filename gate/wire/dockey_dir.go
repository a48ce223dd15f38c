package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

// fileDocKeys is the newest command with document keys, as it came: under
// central's signature, sealed to the kiosk's key.
const fileDocKeys = "document-keys.json"

// DocKeyring holds a kiosk's document keys: those of its bundle until central
// sends newer ones. It may be used from several goroutines.
type DocKeyring struct {
	id  *Identity
	dir string

	mu  sync.Mutex
	set *DocKeySet // guarded by mu; never nil
}

// OpenDocKeyring reads the keys from the identity folder. The ring serves
// whatever the error says, then with the keys of the bundle: what is wrong with
// the file is put right by central's next word.
func OpenDocKeyring(dir string, id *Identity) (*DocKeyring, error) {
	r := &DocKeyring{id: id, dir: dir, set: new(DocKeySet)}
	if id.DocKeys != nil {
		r.set = id.DocKeys
	}
	data, err := readPrivate(dir, fileDocKeys)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	var set *DocKeySet
	if err == nil {
		set, err = r.open(data)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", filepath.Join(dir, fileDocKeys), err)
	}
	if set.Issued.After(r.set.Issued) { // else the bundle was renewed since
		r.set = set
	}
	return r, nil
}

func (r *DocKeyring) open(data []byte) (*DocKeySet, error) {
	c, err := DecodeCommand(data)
	if err == nil {
		err = c.Verify(r.id.Name, r.id.AckKey)
	}
	if err != nil {
		return nil, err
	}
	return r.opened(c)
}

func (r *DocKeyring) opened(c *Command) (*DocKeySet, error) {
	if c.Kind != CommandDocKeys {
		return nil, fmt.Errorf("%w: a command of kind %q carries no document keys", ErrFormat, clip(c.Kind))
	}
	set, err := openDocKeys(r.id.Name, r.id.seal, c.Sealed)
	if err != nil {
		return nil, err
	}
	if !set.Issued.Equal(c.Issued) {
		return nil, fmt.Errorf("document keys: %w: they are from another time than the command around them", ErrFormat)
	}
	return set, nil
}

// Take proves a command, writes it down and puts its keys in force. A set that
// is older than the one here is refused (ErrOld): whoever has the broker must
// not bring back a key whose time is over.
func (r *DocKeyring) Take(c *Command) error {
	if err := c.Verify(r.id.Name, r.id.AckKey); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.id.seal == nil { // whoever has the key opens it; the signature is central's
		return keepCommand(r.dir, fileDocKeys, CommandDocKeys, c)
	}
	set, err := r.opened(c)
	if err != nil {
		return err
	}
	switch {
	case set.Issued.Equal(r.set.Issued) && set.same(r.set):
		return nil // a repeat
	case !set.Issued.After(r.set.Issued):
		return fmt.Errorf("document keys of %s: %w", set.Issued.Format(time.RFC3339), ErrOld)
	}
	data, err := c.Encode()
	if err != nil {
		return err
	}
	if err := writePrivate(filepath.Join(r.dir, fileDocKeys), data); err != nil {
		return err
	}
	r.set = set
	return nil
}

// Ref makes the reference of a document by the key in force at a time; empty
// when none is. A key whose time is over makes none: better no reference than
// one that could be compared for longer than was promised.
func (r *DocKeyring) Ref(now time.Time, issuer, docType, number string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.set.At(now); k != nil {
		return k.Ref(issuer, docType, number)
	}
	return ""
}

// State names the set that is held, for Status.DocKeys, and says whether a key
// is in force at a time.
func (r *DocKeyring) State(now time.Time) (name string, inForce bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set.Name(), r.set.At(now) != nil
}
