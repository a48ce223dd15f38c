package ca

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// What kiosks get sealed, the keys of document references and the list
// secrets, lies here as one private file of JSON each.

// locked works under the lock of the folder: the service and gatectl may change
// a set at once.
func (a *Authority) locked(work func() error) error {
	unlock, err := lock(a.path(".lock"))
	if err != nil {
		return fmt.Errorf("CA folder %s: %w", a.dir, err)
	}
	defer unlock()
	return work()
}

// readSet reads a set; os.ErrNotExist: there is none. Of what does not parse it
// says that alone, since the parser's own words may quote what it read.
func (a *Authority) readSet(file string, set any) error {
	if _, err := os.Stat(a.path(file)); errors.Is(err, os.ErrNotExist) {
		return err
	}
	data, err := readPrivate(a.path(file))
	if err != nil {
		return err
	}
	defer clear(data)
	if json.Unmarshal(data, set) != nil {
		return errNoSet
	}
	return nil
}

// errNoSet: the file is not what it should be.
var errNoSet = errors.New("it does not hold what it should")

func (a *Authority) writeSet(file string, set any) error {
	data, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		return err
	}
	defer clear(data)
	if err := writePrivate(a.path(file), append(data, '\n')); err != nil {
		return fmt.Errorf("CA: %w", err)
	}
	return nil
}

// issuedNext is when a changed set is issued. Never back, whatever the clock
// does: kiosks take no older set.
func issuedNext(last, now time.Time) time.Time {
	next := last.Add(time.Second)
	if now.After(next) {
		return now.UTC().Truncate(time.Second)
	}
	return next
}
