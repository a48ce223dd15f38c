package ca

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"gateagent/gate/wire"
)

// fileDocKeys holds the keys of document references.
const fileDocKeys = "document-keys.json"

// Times of document keys.
const (
	// DocKeyDays is how long a key is in force unless the operator says
	// otherwise.
	DocKeyDays = 30
	// docKeyLead is how long before its time the next key goes out, so that a
	// kiosk that is offline over the change has it already. Never more than a
	// quarter of a key's time.
	docKeyLead = 7 * 24 * time.Hour
)

// docKeyFile is the content of fileDocKeys.
type docKeyFile struct {
	Days int `json:"days"` // that a key is in force
	wire.DocKeySet
}

func (f *docKeyFile) life() time.Duration { return time.Duration(f.Days) * 24 * time.Hour }
func (f *docKeyFile) lead() time.Duration { return min(docKeyLead, f.life()/4) }

// DocKeys gives the keys of document references that kiosks are to have at a
// time, and makes the next one when it is due. Keys that were over for as long
// as one is in force are deleted: from then on nobody can tell, with the
// document in hand, where it appeared.
func (a *Authority) DocKeys(now time.Time) (*wire.DocKeySet, error) {
	f, err := a.readDocKeys()
	if err == nil && !f.due(now) {
		return &f.DocKeySet, nil
	}
	return a.changeDocKeys(now, func(*docKeyFile) {})
}

// RotateDocKeys ends the key in force now and puts a new one in its place; days
// is how long keys are in force from now on, 0: as before. Keys that were to
// follow are dropped as well: whoever learnt the old one may have learnt them.
func (a *Authority) RotateDocKeys(now time.Time, days int) (*wire.DocKeySet, error) {
	if days < 0 || days > 3650 {
		return nil, fmt.Errorf("document keys: %d days: choose 1 to 3650", days)
	}
	return a.changeDocKeys(now, func(f *docKeyFile) {
		if days > 0 {
			f.Days = days
		}
		f.Keys = slices.DeleteFunc(f.Keys, func(k wire.DocKey) bool { return k.From.After(now) })
		for i := range f.Keys {
			if f.Keys[i].Until.After(now) {
				f.Keys[i].Until = now.UTC().Truncate(time.Second)
			}
		}
	})
}

func (a *Authority) changeDocKeys(now time.Time, change func(*docKeyFile)) (set *wire.DocKeySet, err error) {
	err = a.locked(func() error {
		f, err := a.readDocKeys()
		if errors.Is(err, os.ErrNotExist) {
			f, err = &docKeyFile{Days: DocKeyDays}, nil
		}
		if err != nil {
			return err
		}
		change(f)
		set = &f.DocKeySet
		if !f.due(now) {
			return nil // another process was first
		}
		f.renew(now)
		return a.writeSet(fileDocKeys, f)
	})
	if err != nil {
		return nil, err
	}
	return set, nil
}

// due says whether keys are to be made or deleted.
func (f *docKeyFile) due(now time.Time) bool {
	newest := f.Newest()
	return f.At(now) == nil || newest.Until.Sub(now) < f.lead() || slices.ContainsFunc(f.Keys, f.over(now))
}

// over finds keys that nobody needs any more, and those from a time when the
// clock ran far ahead.
func (f *docKeyFile) over(now time.Time) func(wire.DocKey) bool {
	return func(k wire.DocKey) bool { return now.Sub(k.Until) > f.life() || k.From.Sub(now) > f.lead() }
}

// renew makes the keys that are missing.
func (f *docKeyFile) renew(now time.Time) {
	f.Keys = slices.DeleteFunc(f.Keys, f.over(now))
	if f.At(now) == nil {
		f.Keys = append(f.Keys, wire.NewDocKey(now, now.Add(f.life())))
	}
	if last := f.Newest(); last.Until.Sub(now) < f.lead() {
		f.Keys = append(f.Keys, wire.NewDocKey(last.Until, last.Until.Add(f.life())))
	}
	f.Issued = issuedNext(f.Issued, now)
}

func (a *Authority) readDocKeys() (*docKeyFile, error) {
	f := new(docKeyFile)
	err := a.readSet(fileDocKeys, f)
	if err != nil && !errors.Is(err, errNoSet) {
		return nil, err // none: the first time
	}
	if err != nil || f.Check() != nil || f.Days < 1 {
		return nil, fmt.Errorf("CA: %s does not hold document keys: restore it from a backup, or remove it; then new keys are made", a.path(fileDocKeys))
	}
	return f, nil
}
