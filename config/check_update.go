package config

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// airport is an IATA code.
var airport = regexp.MustCompile(`^[A-Z]{3}$`)

// agedThings is what [[update.age]] may be about.
func agedThings() []string {
	return []string{"timestamp", "list", "revocations", "trust", "settings", "software", "models"}
}

func checkUpdate(c *Config, bad fault) {
	u := &c.Update
	if u.Every == 0 {
		u.Every = Duration(5 * time.Minute)
	}
	if d := u.Every.Std(); d < time.Second || d > 24*time.Hour {
		bad("update", 0, "every", "lies outside 1s to 24h")
	}
	if u.Airport != "" && !airport.MatchString(u.Airport) {
		bad("update", 0, "airport", "%q is no airport; write its IATA code, for example \"SGN\"", u.Airport)
	}
	if u.Root == "" && (u.Airport != "" || len(u.Mirrors) > 0) {
		bad("update", 0, "root", "is missing; without the repository's first root nothing that is pushed can be proven")
	}
	for _, f := range []struct{ key, path string }{{"root", u.Root}, {"ca", u.CA}} {
		if f.path != "" && !filepath.IsAbs(f.path) && !(f.key == "root" && f.path == RootOfBundle) {
			bad("update", 0, f.key, "%q is no absolute path", f.path)
		}
	}
	for _, m := range u.Mirrors {
		if v, err := url.Parse(m); err != nil || v.Scheme != "https" || v.Host == "" || v.User != nil || v.RawQuery != "" {
			bad("update", 0, "mirrors", "%q is no mirror; write for example \"https://central.example:8444/repo\"", m)
		}
	}
	seen := map[string]bool{}
	for i, a := range u.Ages {
		checkAge(a, i, seen, bad)
	}
	for i := range u.Freezes {
		checkFreeze(c, &u.Freezes[i], i, bad)
	}
}

func checkAge(a Age, i int, seen map[string]bool, bad fault) {
	const table = "update.age"
	switch {
	case !slices.Contains(agedThings(), a.Of):
		bad(table, i, "of", "%q is none of %q", a.Of, agedThings())
	case seen[a.Of]:
		bad(table, i, "of", "%q is there twice", a.Of)
	}
	seen[a.Of] = true
	if a.Show > 0 && a.Flag > 0 && a.Flag < a.Show || a.Refer > 0 && (a.Refer < a.Show || a.Refer < a.Flag) {
		bad(table, i, "refer", "show, flag and refer come in this order: staff see it coming")
	}
}

func checkFreeze(c *Config, f *Freeze, i int, bad fault) {
	if c.Gate.Location == nil {
		return // the zone is refused already
	}
	var errs [2]error
	f.Begin, errs[0] = time.ParseInLocation(time.DateOnly, f.From, c.Gate.Location)
	f.End, errs[1] = time.ParseInLocation(time.DateOnly, f.To, c.Gate.Location)
	f.End = f.End.AddDate(0, 0, 1)
	if errs[0] != nil || errs[1] != nil || !f.End.After(f.Begin) {
		bad("update.freeze", i, "from", "from %q to %q are no days in order; write for example \"2026-12-18\"", f.From, f.To)
	}
}
