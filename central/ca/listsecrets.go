package ca

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"gateagent/gate/wire"
)

// fileListSecrets holds what opens the allowlists of each generation.
const fileListSecrets = "list-secrets.json"

// listSecretLife is how long a secret is of use: 30 days of building, then at
// most 30 days until the last list of the generation expires.
const listSecretLife = 61 * 24 * time.Hour

// ListSecrets gives the secrets of every airport. Secrets whose lists have all
// expired are deleted.
func (a *Authority) ListSecrets(now time.Time) (*wire.ListSecretSet, error) {
	set, err := a.readListSecrets()
	if err == nil && slices.ContainsFunc(set.Secrets, spent(now)) {
		set, err = a.changeListSecrets(now, func(*wire.ListSecretSet) error { return nil })
	}
	return set, err
}

func spent(now time.Time) func(wire.ListSecret) bool {
	return func(s wire.ListSecret) bool { return now.Sub(s.Began) > listSecretLife }
}

// AddListSecret has kiosks get a secret: those of its airport, or all where it
// names none. Two secrets of one generation never meet on a kiosk.
func (a *Authority) AddListSecret(s wire.ListSecret, now time.Time) error {
	if spent(now)(s) {
		return fmt.Errorf("list secret of generation %d: it began on %s, and no list of it can be in force any more", s.Generation, s.Began.Format(time.DateOnly))
	}
	_, err := a.changeListSecrets(now, func(set *wire.ListSecretSet) error {
		for _, had := range set.Secrets {
			switch {
			case had.Generation != s.Generation || had.Airport != s.Airport && had.Airport != "" && s.Airport != "":
			case had.Airport != s.Airport:
				return fmt.Errorf("list secret of generation %d: kiosks of one airport would have two of that number, that of %s and that of %s: remove one, or begin another generation", s.Generation, OfAirport(had.Airport), OfAirport(s.Airport))
			case !slices.Equal(had.Content, s.Content):
				return fmt.Errorf("list secret of generation %d of %s: there is another one of that number: remove it first if this is the right one", s.Generation, OfAirport(s.Airport))
			}
		}
		same := func(o wire.ListSecret) bool { return o.Generation == s.Generation && o.Airport == s.Airport }
		set.Secrets = append(slices.DeleteFunc(set.Secrets, same), s)
		n := 0
		for _, o := range set.Secrets {
			if o.Airport == s.Airport || o.Airport == "" || s.Airport == "" {
				n++
			}
		}
		if n > wire.MaxListSecrets {
			return fmt.Errorf("list secrets: a kiosk would have %d of them, at most %d: remove old generations", n, wire.MaxListSecrets)
		}
		return (&wire.ListSecretSet{Secrets: []wire.ListSecret{s}}).Check()
	})
	return err
}

// RemoveListSecret takes a secret away, from kiosks too.
func (a *Authority) RemoveListSecret(generation uint32, airport string, now time.Time) error {
	_, err := a.changeListSecrets(now, func(set *wire.ListSecretSet) error {
		n := len(set.Secrets)
		set.Secrets = slices.DeleteFunc(set.Secrets, func(s wire.ListSecret) bool { return s.Generation == generation && s.Airport == airport })
		if len(set.Secrets) == n {
			return fmt.Errorf("list secret of generation %d of %s: there is none", generation, OfAirport(airport))
		}
		return nil
	})
	return err
}

// OfAirport names the kiosks that a list secret is for.
func OfAirport(iata string) string {
	if iata == "" {
		return "every airport"
	}
	return iata
}

func (a *Authority) changeListSecrets(now time.Time, change func(*wire.ListSecretSet) error) (set *wire.ListSecretSet, err error) {
	err = a.locked(func() error {
		if set, err = a.readListSecrets(); err == nil {
			err = change(set)
		}
		if err != nil {
			return err
		}
		set.Secrets = slices.DeleteFunc(set.Secrets, spent(now))
		set.Issued = issuedNext(set.Issued, now)
		return a.writeSet(fileListSecrets, set)
	})
	if err != nil {
		return nil, err
	}
	return set, nil
}

// readListSecrets reads the file; without one there are no secrets.
func (a *Authority) readListSecrets() (*wire.ListSecretSet, error) {
	set := new(wire.ListSecretSet)
	switch err := a.readSet(fileListSecrets, set); {
	case err == nil || errors.Is(err, os.ErrNotExist):
		return set, nil
	case !errors.Is(err, errNoSet):
		return nil, err
	default:
		return nil, fmt.Errorf("CA: %s does not hold list secrets: restore it from a backup, or remove it and add them again with `gatectl list secret add`", a.path(fileListSecrets))
	}
}
