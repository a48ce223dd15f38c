package config

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMessage bounds a message, in characters: it is read in passing.
const maxMessage = 120

// travellers gives the messages of travellers by the names of their places.
func (m *Messages) travellers() []struct {
	place string
	texts *Message
} {
	return []struct {
		place string
		texts *Message
	}{{"closed", &m.Closed}, {"referred", &m.Referred}, {"out_of_order", &m.OutOfOrder}}
}

// checkMessages judges the operator's own texts. Travellers get each in every
// language of the screens; staff may get theirs in one.
func checkMessages(c *Config, bad fault) {
	for _, p := range c.Messages.travellers() {
		if (p.texts.Vi == "") != (p.texts.En == "") {
			bad("messages."+p.place, 0, "", "is there in one language only; the screen speaks both, so write vi and en")
		}
		checkTexts("messages."+p.place, p.texts, bad)
	}
	checkTexts("messages.staff", &c.Messages.Staff, bad)
}

func checkTexts(table string, m *Message, bad fault) {
	for _, t := range []struct{ key, text string }{{"vi", m.Vi}, {"en", m.En}} {
		switch {
		case utf8.RuneCountInString(t.text) > maxMessage:
			bad(table, 0, t.key, "is longer than %d characters", maxMessage)
		case !utf8.ValidString(t.text) || strings.ContainsAny(t.text, "<>") || strings.IndexFunc(t.text, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
			bad(table, 0, t.key, "holds what is no plain text: a line break, a control character, or one of < and >")
		case strings.TrimSpace(t.text) != t.text:
			bad(table, 0, t.key, "begins or ends with a space")
		}
	}
}
