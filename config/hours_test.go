package config

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const week = "tuesday = []\nwednesday = []\nthursday = []\nfriday = []\nsaturday = []\nsunday = []\n"

// Hours and messages that cannot be right are refused by name, where they are
// written and where they are pushed from.
func TestHoursAndMessages(t *testing.T) {
	for name, tc := range map[string][2]string{
		"":                     {"[hours]\nmonday = [\"05:00-12:00\", \"12:00-24:00\"]\n" + week + "[[hours.exception]]\ndate = \"2026-12-24\"\nopen = []\n", ""},
		"a day is missing":     {"[hours]\nmonday = []\n", "f:1:1: hours: sunday is missing"},
		"no span":              {"[hours]\nmonday = [\"5-23\"]\n" + week, "f:2:1: hours.monday: \"5-23\" is no span"},
		"an hour too much":     {"[hours]\nmonday = [\"05:00-24:30\"]\n" + week, "is no span"},
		"past midnight":        {"[hours]\nmonday = [\"22:00-02:00\"]\n" + week, "does not end after it begins"},
		"nothing":              {"[hours]\nmonday = [\"22:00-22:00\"]\n" + week, "does not end after it begins"},
		"overlap":              {"[hours]\nmonday = [\"05:00-12:00\", \"11:59-13:00\"]\n" + week, "overlap"},
		"order":                {"[hours]\nmonday = [\"15:00-16:00\", \"11:00-13:00\"]\n" + week, "overlap"},
		"no date":              {"[[hours.exception]]\ndate = \"2026-02-30\"\nopen = []\n", "hours.exception.date: \"2026-02-30\" is no day"},
		"a date twice":         {strings.Repeat("[[hours.exception]]\ndate = \"2026-02-20\"\nopen = []\n", 2), "f:5:1: hours.exception.date: 2026-02-20 is there twice"},
		"no hours":             {"[[hours.exception]]\ndate = \"2026-02-20\"\n", "hours.exception.open: is missing"},
		"a day of its own":     {"[hours]\nfunday = []\n", "unknown key \"hours.funday\""},
		"one language":         {"[messages.closed]\nen = \"Go left\"\n", "f:1:1: messages.closed: is there in one language only"},
		"another language":     {"[messages.closed]\nfr = \"Allez\"\n", "unknown key \"messages.closed.fr\""},
		"markup":               {"[messages.staff]\nen = \"<b>Go</b>\"\n", "messages.staff.en: holds what is no plain text"},
		"a line break":         {"[messages.staff]\nen = \"Go\\nleft\"\n", "no plain text"},
		"a turned direction":   {"[messages.staff]\nen = \"Go \\u202eleft\"\n", "no plain text"},
		"a space at the end":   {"[messages.staff]\nen = \"Go \"\n", "begins or ends with a space"},
		"too long":             {"[messages.staff]\nen = \"" + strings.Repeat("ă", 121) + "\"\n", "longer than 120"},
		"as long as it may be": {"[messages.staff]\nvi = \"" + strings.Repeat("ă", 120) + "\"\n", ""},
	} {
		err := CheckPart("f", []byte(tc[0]))
		if tc[1] == "" && err != nil || tc[1] != "" && (err == nil || !strings.Contains(err.Error(), tc[1])) {
			t.Errorf("%s: %v; want %q", name, err, tc[1])
		}
	}
}

// Hours take each other's place key by key, as all settings; without any the
// gate is always open.
func TestHoursPushed(t *testing.T) {
	path := settable(t)
	c, err := WithSettings(path, Setting{"fleet", []byte("[[hours.exception]]\ndate = \"2026-12-25\"\nopen = []\n[messages.closed]\nvi = \"a\"\nen = \"b\"\n")})
	if err != nil {
		t.Fatal(err)
	}
	if spans, ok := c.Hours.Dates["2026-12-25"]; !ok || spans != nil || len(c.Hours.Dates) != 1 || !slices.Equal(c.Hours.Week[1], []Span{{0, 1440}}) || c.Messages.Closed.En != "b" {
		t.Errorf("%+v %+v", c.Hours, c.Messages)
	}
	if c.Hours.Always() {
		t.Error("a closed day is not always")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), "[hours]")
	_, after, _ := strings.Cut(rest, "[timing]")
	if c, err = Parse("f", []byte(before+"[timing]"+after)); err != nil || !c.Hours.Always() {
		t.Errorf("%v: %+v", err, c)
	}
}
