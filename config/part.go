package config

import (
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// CheckPart checks a text that holds some of the settings, as central pushes
// them: an unknown key, a wrong type and what belongs to the machine are
// refused, what is missing is not.
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
	return mayPush(name, over)
}
