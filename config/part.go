package config

import (
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// CheckPart checks a text that holds some of the settings, as central pushes
// them: an unknown key, a wrong type and what belongs to the machine are
// refused, what is missing is not. Opening hours and messages are judged as a
// kiosk does, since nothing else is needed for that.
func CheckPart(name string, text []byte) error {
	var c Config
	dec := toml.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return place(name, err)
	}
	over := map[string]any{}
	if err := toml.Unmarshal(text, &over); err != nil {
		return place(name, err)
	}
	if err := mayPush(name, over); err != nil {
		return err
	}
	var faults []error
	p := newPlaces(name, string(text))
	bad := func(table string, n int, key, format string, args ...any) {
		faults = append(faults, p.errorf(table, n, key, format, args...))
	}
	checkHours(&c, bad)
	checkMessages(&c, bad)
	return errors.Join(faults...)
}
