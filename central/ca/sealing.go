package ca

import (
	"errors"
	"fmt"
	"os"

	"gateagent/gate/wire"
)

// suites are those to which central lets kiosks seal.
var suites = [...]wire.Suite{wire.SuiteX25519, wire.SuiteHybrid}

// sealing reads the keys that open results, and makes them where there never
// were any. This is the place of a hardware token: an Opener needs nothing of
// a key but its decapsulation.
func (a *Authority) sealing() error {
	if _, err := os.Stat(a.path(fileSealPub)); errors.Is(err, os.ErrNotExist) {
		if err := a.makeSealing(); err != nil {
			return fmt.Errorf("CA: make the keys that open results: %w", err)
		}
	}
	a.open = map[wire.Suite]*wire.OpenKey{}
	for _, s := range suites {
		path := a.path(fmt.Sprintf(fileSeal, s))
		text, err := readPrivate(path)
		if err != nil {
			return err
		}
		k, err := wire.ParseOpenKey(string(text))
		clear(text)
		if err != nil {
			return fmt.Errorf("CA: %s: %w: restore the folder from a backup; without it sealed results cannot be read", path, err)
		}
		a.open[s] = k
	}
	var err error
	a.more, err = a.further()
	return err
}

func (a *Authority) makeSealing() error {
	var public []byte
	for _, s := range suites {
		k, err := wire.NewOpenKey(s)
		if err != nil {
			return err
		}
		text, err := k.Text()
		if err != nil {
			return err
		}
		if err := writePrivate(a.path(fmt.Sprintf(fileSeal, s)), []byte(text)); err != nil {
			return err
		}
		public = append(public, k.Public().Text()...)
	}
	return writePrivate(a.path(fileSealPub), public)
}
