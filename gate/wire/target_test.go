package wire

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func listTarget() *Target {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	return &Target{Kind: KindList, Version: 27, Issued: at, Expires: at.Add(72 * time.Hour), Generation: 1}
}

func TestTargetPaths(t *testing.T) {
	for path, want := range map[string]string{
		"lists/SGN/statement":    "airport-SGN",
		TablePath("HAN", 3):      "airport-HAN",
		DeltaPath("HAN", 3, 4):   "airport-HAN",
		"trust/csca-de.cer":      RoleTrust,
		"software/gateagent-1.4": RoleSoftware,
		"models/pack.tar":        RoleModels,
		"settings/fleet.toml":    RoleSettings,
		RevocationsPath("SGN"):   RoleRevocations,
		"lists/sgn/statement":    "",
		"lists/SGN/a/b":          "",
		"lists/SGN":              "",
		"lists/SGNX/a":           "",
		"trust/../a":             "",
		"trust/..":               "",
		"trust/.hidden":          "",
		"trust/":                 "",
		"/trust/a":               "",
		"airport-SGN/a":          "",
		"targets/a":              "",
		"root":                   "",
		"trust/a\x00b":           "",
		"trust/" + strings.Repeat("a", maxTargetName+1): "",
	} {
		got, err := TargetRole(path)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%q: role %q, %v; want %q", path, got, err, want)
		}
		if want == "" {
			continue
		}
		patterns, err := RolePaths(want)
		if err != nil || len(patterns) != 1 || !strings.HasPrefix(path, strings.TrimSuffix(patterns[0], "*")) {
			t.Errorf("%q: patterns %q of role %s, %v", path, patterns, want, err)
		}
	}
	if _, err := RolePaths(RoleTargets); err == nil {
		t.Error("targets is delegated to nobody")
	}
	if _, err := AirportRole("a/*"); err == nil {
		t.Error("an airport of a/*")
	}
}

func TestTargetFileNames(t *testing.T) {
	for got, want := range map[string]string{
		MetadataFile(RoleRoot, 3):                    "metadata/3.root.json",
		MetadataFile("airport-SGN", 12):              "metadata/12.airport-SGN.json",
		MetadataFile(RoleTimestamp, 9):               "metadata/timestamp.json",
		TargetFile("lists/SGN/a", []byte{0xab, 0x1}): "targets/lists/SGN/ab01.a",
		TargetFile("trust/a.cer", []byte{0xab, 0x1}): "targets/trust/ab01.a.cer",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestTargetRoundTrip(t *testing.T) {
	at := listTarget().Issued
	for path, in := range map[string]*Target{
		ListPath("SGN"):        listTarget(),
		DeltaPath("SGN", 1, 2): {Kind: KindDelta, Version: 2, From: 1, Generation: 4, Issued: at, Expires: at.Add(1 * time.Hour)},
		"settings/fleet.toml":  {Kind: KindSettings, Version: 1, Canary: 10, Issued: at, Expires: at.Add(1 * time.Hour)},
		"software/agent-1.4":   {Kind: KindSoftware, Version: 1, Release: "v1.4", Arch: "arm64", After: "v1.2", Issued: at, Expires: at.Add(1 * time.Hour)},
	} {
		b, err := in.Encode(path)
		if err != nil {
			t.Fatal(err)
		}
		out, err := ParseTarget(path, b)
		if err != nil || *out != *in {
			t.Errorf("%s: %+v became %+v, %v", path, in, out, err)
		}
	}
}

// What a target says of itself decides what is taken, so nothing in it is
// guessed.
func TestTargetIsRefused(t *testing.T) {
	const path = "lists/SGN/statement"
	good := `{"kind":"list","version":27,"issued":"2026-03-01T08:00:00Z","expires":"2026-03-04T08:00:00Z","generation":1}`
	if _, err := ParseTarget(path, []byte(good)); err != nil {
		t.Fatal(err)
	}
	for why, edit := range map[string][2]string{
		"another role's kind": {`"list"`, `"trust"`},
		"version 0":           {`27`, `0`},
		"version too large":   {`27`, `9007199254740993`},
		"negative version":    {`27`, `-1`},
		"unknown field":       {`"kind"`, `"more":1,"kind"`},
		"no expiry":           {`"expires":"2026-03-04T08:00:00Z",`, ``},
		"expires first":       {`2026-03-04`, `2026-02-04`},
		"local time":          {`2026-03-01T08:00:00Z`, `2026-03-01T08:00:00+07:00`},
		"half a second":       {`2026-03-01T08:00:00Z`, `2026-03-01T08:00:00.5Z`},
		"no generation":       {`,"generation":1`, ``},
		"a from":              {`,"generation":1`, `,"generation":1,"from":2`},
		"a release":           {`,"generation":1`, `,"generation":1,"release":"v1"`},
		"a canary":            {`,"generation":1`, `,"generation":1,"canary":5`},
		"something after it":  {`:1}`, `:1}{}`},
		"too long":            {`{`, `{` + strings.Repeat(" ", maxCustomBytes)},
	} {
		bad := strings.Replace(good, edit[0], edit[1], 1)
		if _, err := ParseTarget(path, []byte(bad)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := ParseTarget(path, []byte(`{"kind":"weather","more":1}`)); !errors.Is(err, ErrTargetKind) {
		t.Errorf("a kind of a newer release: %v", err)
	}
}

func FuzzParseTarget(f *testing.F) {
	b, err := listTarget().Encode(ListPath("SGN"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ListPath("SGN"), b)
	f.Fuzz(func(t *testing.T, path string, custom []byte) {
		got, err := ParseTarget(path, custom)
		if err != nil {
			return
		}
		again, err := got.Encode(path)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", got, err)
		}
		if back, err := ParseTarget(path, again); err != nil || *back != *got {
			t.Fatalf("%+v became %+v, %v", got, back, err)
		}
	})
}
