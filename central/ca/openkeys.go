package ca

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"gateagent/gate/wire"
)

// further reads the private keys that were laid beside central's own: seal-*.key
// of an earlier central, or of one that a kiosk comes from.
func (a *Authority) further() ([]*wire.OpenKey, error) {
	paths, err := filepath.Glob(a.path("seal-*.key"))
	if err != nil {
		return nil, err
	}
	var all []*wire.OpenKey
	for _, path := range paths {
		if a.own(filepath.Base(path)) {
			continue
		}
		text, err := readPrivate(path)
		if err != nil {
			return nil, err
		}
		k, err := wire.ParseOpenKey(string(text))
		clear(text)
		if err != nil {
			return nil, fmt.Errorf("CA: %s: %w: remove it, or restore it from a backup", path, err)
		}
		all = append(all, k)
	}
	return all, nil
}

func (a *Authority) own(file string) bool {
	return slices.ContainsFunc(suites[:], func(s wire.Suite) bool { return file == fmt.Sprintf(fileSeal, s) })
}

// Opener opens what kiosks sealed to this central, and to keys that lay beside
// its own when the folder was opened.
func (a *Authority) Opener() *wire.Opener {
	return wire.NewOpener(append(slices.Collect(maps.Values(a.open)), a.more...)...)
}

// FreshOpener is an Opener that looks into the folder: a key that was added since
// counts.
func (a *Authority) FreshOpener() (*wire.Opener, error) {
	more, err := a.further()
	if err != nil {
		return nil, err
	}
	return wire.NewOpener(append(slices.Collect(maps.Values(a.open)), more...)...), nil
}

// OpenKeysMark names the private keys that are there: it changes when one is
// added, exchanged or taken away.
func (a *Authority) OpenKeysMark() (string, error) {
	paths, err := filepath.Glob(a.path("seal-*.key"))
	mark := ""
	for _, path := range paths {
		info, statErr := os.Stat(path)
		if err = errors.Join(err, statErr); statErr == nil {
			mark += fmt.Sprintf("%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
	}
	return mark, err
}

// AddOpenKey lays a private key beside central's own, as text of
// wire.OpenKey.Text. It says how the key is named in envelopes.
func (a *Authority) AddOpenKey(text string) (string, error) {
	k, err := wire.ParseOpenKey(text)
	if err != nil {
		return "", err
	}
	id := k.Public().ID()
	if text, err = k.Text(); err != nil {
		return "", err
	}
	return id, writePrivate(a.path(fmt.Sprintf(fileSeal, id)), []byte(text))
}
