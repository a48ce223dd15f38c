package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Files of list secrets in the identity folder. Both hold them sealed to the
// kiosk's own key alone.
const (
	fileListSecrets = "list-secrets.json"    // the newest command with them, as it came
	fileOwnSecrets  = "list-secrets-by-hand" // those that somebody brought by hand
)

// maxOwnSecrets bounds those that were brought by hand: the newest stay.
const maxOwnSecrets = 4

// ListSecretRing holds a kiosk's list secrets, sealed to the kiosk's key on the
// disk and in memory: each is opened when a list is, and by whoever asks wiped.
// It may be used from several goroutines.
type ListSecretRing struct {
	id  *Identity
	dir string

	mu     sync.Mutex
	issued time.Time // guarded by mu; of central's set
	sealed []byte    // guarded by mu; central's set
	own    []byte    // guarded by mu; those brought by hand
	name   string    // guarded by mu; of central's set
}

// OpenListSecrets reads the secrets from the identity folder. The ring serves
// whatever the error says, then with those of the bundle, if any: what is wrong
// with a file is put right by central's next word.
func OpenListSecrets(dir string, id *Identity) (*ListSecretRing, error) {
	r := &ListSecretRing{id: id, dir: dir}
	var errs []error
	if len(id.ListSecrets) > 0 {
		set, err := openListSecrets(id.Name, id.seal, id.ListSecrets)
		if err == nil {
			r.use(id.ListSecrets, set)
		}
		errs = append(errs, err)
	}
	data, err := readPrivate(dir, fileListSecrets)
	if err == nil {
		var c *Command
		if c, err = DecodeCommand(data); err == nil {
			err = c.Verify(id.Name, id.AckKey)
		}
		if err == nil && c.Issued.After(r.issued) { // else the bundle was renewed since
			var set *ListSecretSet
			if set, err = r.opened(c); err == nil {
				r.use(c.Sealed, set)
			}
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("%s: %w", filepath.Join(dir, fileListSecrets), err))
	}
	if r.own, err = readPrivate(dir, fileOwnSecrets); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return r, errors.Join(errs...)
}

// opened opens what a command carries. The caller wipes it.
func (r *ListSecretRing) opened(c *Command) (*ListSecretSet, error) {
	set, err := openListSecrets(r.id.Name, r.id.seal, c.Sealed)
	if err != nil {
		return nil, err
	}
	if !set.Issued.Equal(c.Issued) {
		set.Wipe()
		return nil, fmt.Errorf("list secrets: %w: they are from another time than the command around them", ErrFormat)
	}
	return set, nil
}

// use puts a set in force, which was opened, and wipes it.
func (r *ListSecretRing) use(sealed []byte, set *ListSecretSet) {
	r.sealed, r.issued, r.name = bytes.Clone(sealed), set.Issued, set.Name()
	set.Wipe()
}

// Take proves a command, writes it down and puts its secrets in force. A set
// that is older than the one here is refused (ErrOld).
func (r *ListSecretRing) Take(c *Command) error {
	if err := c.Verify(r.id.Name, r.id.AckKey); err != nil {
		return err
	}
	if c.Kind != CommandListSecrets {
		return fmt.Errorf("%w: a command of kind %q carries no list secrets", ErrFormat, clip(c.Kind))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.id.seal == nil { // whoever has the key opens it; the signature is central's
		return keepCommand(r.dir, fileListSecrets, c.Kind, c)
	}
	set, err := r.opened(c)
	if err != nil {
		return err
	}
	defer set.Wipe()
	switch {
	case set.Issued.Equal(r.issued) && set.Name() == r.name:
		return nil // a repeat
	case !set.Issued.After(r.issued):
		return fmt.Errorf("list secrets of %s: %w", set.Issued.Format(time.RFC3339), ErrOld)
	}
	data, err := c.Encode()
	if err != nil {
		return err
	}
	if err := writePrivate(filepath.Join(r.dir, fileListSecrets), data); err != nil {
		return err
	}
	r.use(c.Sealed, set)
	return nil
}

// keepCommand writes a command down whose content cannot be opened here, unless
// one that is as new is there. Its signature is proven already.
func keepCommand(dir, file, kind string, c *Command) error {
	if c.Kind != kind {
		return fmt.Errorf("%w: a command of kind %q, want %q", ErrFormat, clip(c.Kind), kind)
	}
	if data, err := readPrivate(dir, file); err == nil {
		if had, err := DecodeCommand(data); err == nil && had.Issued.After(c.Issued) {
			return fmt.Errorf("%s of %s: %w", kind, c.Issued.Format(time.RFC3339), ErrOld)
		} else if err == nil && had.Issued.Equal(c.Issued) {
			return nil
		}
	}
	data, err := c.Encode()
	if err != nil {
		return err
	}
	return writePrivate(filepath.Join(dir, file), data)
}

// Find gives the content of a generation's secret for lists of an airport, to
// be wiped by the caller; nil when it is not here. Central's go before those
// that were brought by hand.
func (r *ListSecretRing) Find(generation uint32, airport string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.id.seal == nil {
		return nil, fmt.Errorf("list secrets: %w", ErrNoSealKey)
	}
	var broken error
	for _, sealed := range [][]byte{r.sealed, r.own} {
		set, err := r.open(sealed)
		if err != nil {
			broken = err
			continue
		}
		i := slices.IndexFunc(set.Secrets, func(s ListSecret) bool {
			return s.Generation == generation && (s.Airport == "" || airport == "" || s.Airport == airport)
		})
		if i >= 0 {
			found := bytes.Clone(set.Secrets[i].Content)
			set.Wipe()
			return found, nil
		}
		set.Wipe()
	}
	return nil, broken
}

func (r *ListSecretRing) open(sealed []byte) (*ListSecretSet, error) {
	if len(sealed) == 0 {
		return new(ListSecretSet), nil
	}
	return openListSecrets(r.id.Name, r.id.seal, sealed)
}

// Keep keeps a secret that was brought by hand, sealed to the kiosk's own key.
func (r *ListSecretRing) Keep(s ListSecret) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	set, err := r.open(r.own)
	if errors.Is(err, ErrNoSealKey) && len(r.own) > 0 {
		return fmt.Errorf("keep the list secret: %w", err)
	}
	if err != nil {
		set = new(ListSecretSet) // what cannot be opened any more serves nobody
	}
	defer set.Wipe()
	same := func(o ListSecret) bool { return o.Generation == s.Generation && o.Airport == s.Airport }
	if i := slices.IndexFunc(set.Secrets, same); i >= 0 && bytes.Equal(set.Secrets[i].Content, s.Content) {
		return nil
	}
	set.Secrets = append(slices.DeleteFunc(set.Secrets, same), s)
	slices.SortFunc(set.Secrets, func(a, b ListSecret) int { return b.Began.Compare(a.Began) })
	kept := ListSecretSet{Secrets: set.Secrets[:min(len(set.Secrets), maxOwnSecrets)]}
	sealed, err := kept.Seal(r.id.Name, r.id.sealPub.Bytes())
	if err != nil {
		return err
	}
	if err := writePrivate(filepath.Join(r.dir, fileOwnSecrets), sealed); err != nil {
		return err
	}
	r.own = sealed
	return nil
}

// Name names central's set that is held, for Status.Secrets; empty: none.
func (r *ListSecretRing) Name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.name
}

// SecretsHeld says of a kiosk's identity folder, for whoever cannot open what is
// in it, when central's newest secrets were issued.
func SecretsHeld(dir string) (issued time.Time, byHand bool) {
	if data, err := readPrivate(dir, fileListSecrets); err == nil {
		var c Command
		if json.Unmarshal(data, &c) == nil {
			issued = c.Issued
		}
	}
	own, err := readPrivate(dir, fileOwnSecrets)
	return issued, err == nil && len(own) > 0
}
