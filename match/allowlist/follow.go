package allowlist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gateagent/gate"
)

// Follow loads the list in the folder from whenever it changes, until ctx
// ends. Lists come by copy, from whoever delivers them, so the folder's three
// files are looked at every so often; a list that was refused for what it is
// is not tried again until one of the files changes.
func (s *Store) Follow(ctx context.Context, from string, every time.Duration, clock func() gate.TrustedTime) error {
	if every <= 0 || clock == nil {
		return errors.New("follow list: interval and clock are needed")
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var settled, said string
	for {
		if seen := fingerprint(from, s.opts.Secret != nil); seen != "" && seen != settled {
			err := s.Load(ctx, from, clock())
			if err == nil || final(err) {
				settled = seen
			}
			if err != nil && ctx.Err() == nil && err.Error() != said {
				s.log.Error("list refused; the one in force stays", "error", err)
			}
			if said = ""; err != nil {
				said = err.Error()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// final says whether trying the same files again is in vain.
func final(err error) bool {
	if errors.Is(err, errNoSecret) {
		return false
	}
	for _, why := range []error{ErrDamaged, ErrUnsigned, ErrExpired, ErrRegress, ErrSecret, ErrAirport} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}

// fingerprint of a list folder: size and time of each file; empty while one is
// missing. The secret may be missing where it also comes by other ways.
func fingerprint(dir string, otherwise bool) string {
	var print string
	for _, name := range []string{TableFile, StatementFile, SecretFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case err == nil:
			print += fmt.Sprintf("%d %d;", info.Size(), info.ModTime().UnixNano())
		case name == SecretFile && otherwise && errors.Is(err, os.ErrNotExist):
			print += "-"
		default:
			return ""
		}
	}
	return print
}
