package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"gateagent/internal/passhash"
)

// issuer is an issuing state as in the machine readable zone (ICAO Doc 9303-3,
// section 5: D is Germany).
var issuer = regexp.MustCompile(`^[A-Z]{1,3}$`)

// gateName is what a gate may be called: it travels in records and lists.
var gateName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

// check fills defaults and judges every value; it reports all faults.
func check(c *Config, p *places) error {
	var faults []error
	bad := func(table string, n int, key, format string, args ...any) {
		faults = append(faults, p.errorf(table, n, key, format, args...))
	}
	checkGate(c, bad)
	checkState(c, bad)
	checkRecord(c, bad)
	checkPolicy(c, bad)
	checkFace(c, bad)
	checkReader(c, bad)
	checkSerial(c, bad)
	checkUplink(c, bad)
	checkList(c, bad)
	checkUpdate(c, bad)
	checkWeb(c, bad)
	checkStaff(c, bad)
	checkHours(c, bad)
	checkMessages(c, bad)
	if c.Log.Level == "" {
		c.Log.Level = "info"
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		bad("log", 0, "level", "%q is none of debug, info, warn, error", c.Log.Level)
	}
	return errors.Join(faults...)
}

type fault func(table string, n int, key, format string, args ...any)

func checkGate(c *Config, bad fault) {
	if !gateName.MatchString(c.Gate.Name) {
		bad("gate", 0, "name", "%q is no gate name; use 1 to 40 letters, digits, '.', '_' or '-', for example \"SGN-G12\"", c.Gate.Name)
	}
	if c.Gate.Zone == "" {
		bad("gate", 0, "zone", "is missing; name the kiosk's time zone, for example \"Asia/Ho_Chi_Minh\"")
		return
	}
	loc, err := time.LoadLocation(c.Gate.Zone)
	if err != nil {
		bad("gate", 0, "zone", "%v; use a name such as \"Asia/Ho_Chi_Minh\"", err)
		return
	}
	c.Gate.Location = loc
}

func checkState(c *Config, bad fault) {
	if c.State.Dir == "" {
		bad("state", 0, "dir", "is missing; name the folder for results and keys, for example \"/var/lib/gateagent\"")
		return
	}
	if !filepath.IsAbs(c.State.Dir) {
		bad("state", 0, "dir", "%q is no absolute path", c.State.Dir)
	}
	if c.State.Runtime != "" && !filepath.IsAbs(c.State.Runtime) {
		bad("state", 0, "runtime", "%q is no absolute path", c.State.Runtime)
	}
	if c.State.MaxBytes == 0 {
		c.State.MaxBytes = 1 << 30
	}
	if c.State.MaxBytes < 1<<20 {
		bad("state", 0, "max_bytes", "is less than 1MiB")
	}
	checkKept(&c.State, bad)
}

// checkKept looks at what bounds the results in time, and those that central has.
func checkKept(s *State, bad fault) {
	if s.MaxAge == 0 {
		s.MaxAge = Duration(90 * 24 * time.Hour)
	}
	if s.KeepAcked == 0 {
		s.KeepAcked = Duration(7 * 24 * time.Hour)
	}
	if s.KeepAckedBytes == 0 {
		s.KeepAckedBytes = 256 << 20
	}
	if s.MaxAge.Std() < time.Hour {
		bad("state", 0, "max_age", "is less than 1h")
	}
	if s.KeepAcked.Std() < time.Hour {
		bad("state", 0, "keep_acked", "is less than 1h")
	}
	if s.KeepAckedBytes < 1<<20 {
		bad("state", 0, "keep_acked_bytes", "is less than 1MiB")
	}
}

func checkRecord(c *Config, bad fault) {
	switch c.Record.Level {
	case "":
		c.Record.Level = "full"
	case "full", "standard", "basic":
	default:
		bad("record", 0, "level", "%q is none of \"full\", \"standard\", \"basic\"", c.Record.Level)
	}
	if c.Record.KeepDays < 0 || c.Record.KeepDays > maxKeepDays {
		bad("record", 0, "keep_days", "lies outside 0 to %d", maxKeepDays)
	}
}

// maxKeepDays is a hundred years.
const maxKeepDays = 36500

func checkPolicy(c *Config, bad fault) {
	if c.Policy.Name == "" {
		bad("policy", 0, "name", "is missing; it is carried in every record")
	}
	switch c.Policy.Face {
	case "off", "required":
	case "":
		bad("policy", 0, "face", "is missing; write \"required\", or \"off\" to admit people whose face was not compared (every record and the staff page then say so)")
	default:
		bad("policy", 0, "face", "%q is neither \"required\" nor \"off\"", c.Policy.Face)
	}
	for _, s := range c.Policy.RequireCRL {
		if s != "*" && !issuer.MatchString(s) {
			bad("policy", 0, "require_crl", "%q is no issuing state as in the machine readable zone, for example \"VNM\"", s)
		}
	}
	checkCloneUnproven(c, bad)
	switch c.Clock.Source {
	case "":
		c.Clock.Source = "kernel"
	case "kernel", "assume":
	default:
		bad("clock", 0, "source", "%q is neither \"kernel\" nor \"assume\"", c.Clock.Source)
	}
	if c.Clock.MaxHoldover == 0 {
		c.Clock.MaxHoldover = Duration(72 * time.Hour)
	}
}

func checkCloneUnproven(c *Config, bad fault) {
	const table = "policy.clone_unproven"
	u := c.Policy.CloneUnproven
	for _, s := range u.Issuers {
		if !issuer.MatchString(s) {
			bad(table, 0, "issuers", "%q is no issuing state as in the machine readable zone, for example \"USA\"; there is no word for all", s)
		}
	}
	switch {
	case len(u.Issuers) > 0 && c.Policy.Face != "required":
		bad(table, 0, "issuers", "names issuers although policy.face is not \"required\": a document without chip proof passes by its holder's face alone")
	case !(u.Threshold >= 0 && u.Threshold < 1):
		bad(table, 0, "threshold", "lies outside 0 to 1")
	}
}

func checkFace(c *Config, bad fault) {
	f := &c.Face
	if f.MinAge == 0 {
		f.MinAge = 14
	}
	if f.MinAge < 0 || f.MinAge > 120 {
		bad("face", 0, "min_age", "lies outside 1 to 120")
	}
	if f.Source == "" {
		f.Source = "camera"
	}
	if f.Source != "camera" && f.Source != "page" {
		bad("face", 0, "source", "%q is neither \"camera\" nor \"page\"", f.Source)
	}
	if f.Attack == "" {
		f.Attack = "evaluatory"
	}
	if !slices.Contains([]string{"off", "evaluatory", "required"}, f.Attack) {
		bad("face", 0, "attack", "%q is none of \"off\", \"evaluatory\", \"required\"", f.Attack)
	}
	checkChallenge(f, bad)
	if c.Policy.Face != "required" {
		return
	}
	for _, need := range []struct{ key, value, what string }{
		{"legal_basis", f.LegalBasis, "the code of the legal basis, carried in every record"},
		{"pack", f.Pack, "the folder of the model pack"},
		{"pack_hash", f.PackHash, "the SHA-256 of its pack.json; `gatectl model import` prints it"},
		{"library", f.Library, "the file of libonnxruntime"},
	} {
		if need.value == "" {
			bad("face", 0, need.key, "is missing: policy.face is \"required\"; name %s", need.what)
		}
	}
	if f.Source == "camera" && f.Device == "" {
		bad("face", 0, "device", "is missing; name the camera below /dev/v4l/by-id")
	}
}

func checkChallenge(f *Face, bad fault) {
	if f.Challenge == "" {
		f.Challenge = "off"
	}
	if !slices.Contains([]string{"off", "turn", "light", "random"}, f.Challenge) {
		bad("face", 0, "challenge", "%q is none of \"off\", \"turn\", \"light\", \"random\"", f.Challenge)
	}
	switch {
	case !(f.AttackScore >= 0 && f.AttackScore <= 1):
		bad("face", 0, "attack_score", "lies outside 0 to 1")
	case f.Attack == "required" && f.Challenge == "off" && f.AttackScore == 0:
		bad("face", 0, "attack", "is \"required\", but nothing is: choose a challenge, or an attack_score above 0")
	case f.Attack == "off" && f.Challenge != "off":
		bad("face", 0, "challenge", "is %q although attack is \"off\"; a challenge is recorded with attack \"evaluatory\"", f.Challenge)
	}
}

func checkReader(c *Config, bad fault) {
	if c.Reader.Name == "" {
		bad("reader", 0, "name", "is missing; `gateagent readers` lists what is connected")
	}
}

func checkSerial(c *Config, bad fault) {
	if len(c.Scanner) == 0 {
		bad("scanner", 0, "", "no [[scanner]] is configured; without one no document can be opened")
	}
	for i := range c.Scanner {
		s := &c.Scanner[i]
		checkPort("scanner", i, s.Path, "the device", s.AllowUnstable, s.Baud, bad)
		if s.Baud == 0 {
			s.Baud = 115200
		}
		if s.Framing == "" {
			s.Framing = "line"
		}
		if !slices.Contains(framings(), s.Framing) {
			bad("scanner", i, "framing", "%q is none of %q", s.Framing, framings())
		}
		if s.MaxFrame < 0 || s.MaxFrame > 64<<10 {
			bad("scanner", i, "max_frame", "lies outside 1 to 65536")
		}
	}
	checkBarrier(&c.Barrier, bad)
}

// unstable matches the kernel's own names of hot-pluggable devices.
var unstable = regexp.MustCompile(`^/dev/tty(USB|ACM)[0-9]+$`)

// checkPort judges what every serial device has.
func checkPort(table string, n int, path, what string, allowUnstable bool, baud int, bad fault) {
	switch {
	case path == "":
		bad(table, n, "path", "is missing; name %s below /dev/serial/by-id", what)
	case !filepath.IsAbs(path):
		bad(table, n, "path", "%q is no absolute path; name %s below /dev/serial/by-id", path, what)
	case unstable.MatchString(filepath.Clean(path)) && !allowUnstable:
		bad(table, n, "path", "%s changes when devices are plugged; use the name below /dev/serial/by-id, or say allow_unstable", path)
	}
	if baud < 0 {
		bad(table, n, "baud", "must not be negative")
	}
}

func checkBarrier(b *Barrier, bad fault) {
	checkPort("barrier", 0, b.Path, "the relay's device", b.AllowUnstable, b.Baud, bad)
	switch b.Profile {
	case "modbus":
		if b.Active != "energised_opens" && b.Active != "energised_shuts" {
			bad("barrier", 0, "active", "%q is neither \"energised_opens\" nor \"energised_shuts\"", b.Active)
		}
		if b.Address < 1 || b.Address > 247 {
			bad("barrier", 0, "address", "lies outside 1 to 247")
		}
		if b.Relay < 1 || b.Relay > maxRelay {
			bad("barrier", 0, "relay", "lies outside 1 to %d", maxRelay)
		}
		if b.Input < 0 || b.Input > maxInput {
			bad("barrier", 0, "input", "lies outside 1 to %d; 0 is no sensor", maxInput)
		}
	case "timed":
		if b.Open == "" || b.Shut == "" {
			bad("barrier", 0, "open", "open and shut are both needed by profile \"timed\"")
		}
	default:
		bad("barrier", 0, "profile", "%q is neither \"modbus\" nor \"timed\"", b.Profile)
	}
	if b.Pulse == 0 {
		b.Pulse = Duration(500 * time.Millisecond)
	}
	if b.Passage == 0 {
		b.Passage = Duration(8 * time.Second)
	}
	if d := b.Pulse.Std(); d < 100*time.Millisecond || d > 15*time.Second {
		bad("barrier", 0, "pulse", "lies outside 100ms to 15s")
	}
}

// What Modbus relay boards have; drivers/barrier knows the same bounds.
const (
	maxRelay = 32
	maxInput = 8
)

// framings are the profiles of drivers/serial that suit scanners.
func framings() []string {
	return []string{"line", "cr", "lf", "crlf", "stx_etx", "soh_mrz", "idle"}
}

// checkFiles judges whether the files and folders that c names are there.
func checkFiles(c *Config, p *places) error {
	var faults []error
	bad := func(table string, n int, key, format string, args ...any) {
		faults = append(faults, p.errorf(table, n, key, format, args...))
	}
	need := func(table, key, path, what string) {
		switch info, err := os.Stat(path); {
		case path == "":
			bad(table, 0, key, "is missing; name %s", what)
		case err != nil:
			bad(table, 0, key, "%v", err)
		case !info.IsDir():
			bad(table, 0, key, "%s is no folder", path)
		}
	}
	need("trust", "dir", c.Trust.Dir, "the folder with the country certificates")
	need("list", "dir", c.List.Dir, "the folder with the allowlist")
	for key, file := range map[string]string{"root": c.Update.Root, "ca": c.Update.CA} {
		if file == "" || file == RootOfBundle {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			bad("update", 0, key, "%v", err)
		}
	}
	for _, k := range c.List.Keys {
		if _, err := os.Stat(k); err != nil {
			bad("list", 0, "keys", "%v", err)
		}
	}
	if k := c.Record.SealKey; k != "" {
		if _, err := os.Stat(k); err != nil {
			bad("record", 0, "seal_key", "%v", err)
		}
	}
	return errors.Join(faults...)
}

func checkWeb(c *Config, bad fault) {
	if c.Web.Listen == "" {
		c.Web.Listen = "127.0.0.1:8480"
	}
	addr, err := netip.ParseAddrPort(c.Web.Listen)
	if err != nil || !addr.Addr().IsLoopback() {
		bad("web", 0, "listen", "%q is no loopback address with a port; the pages are for this machine alone, for example \"127.0.0.1:8480\"", c.Web.Listen)
	}
}

func checkStaff(c *Config, bad fault) {
	seen := map[string]bool{}
	for i, o := range c.Staff.Operators {
		switch {
		case o.Name == "" || len(o.Name) > 40:
			bad("staff.operator", i, "name", "is missing or longer than 40 characters")
		case seen[o.Name]:
			bad("staff.operator", i, "name", "%q is there twice", o.Name)
		case passhash.Check(o.PIN) != nil:
			bad("staff.operator", i, "pin", "is no hash; make one with `gateagent pin`")
		}
		seen[o.Name] = true
	}
	if len(c.Staff.Operators) == 0 {
		bad("staff", 0, "", "no [[staff.operator]] is configured; referrals could not be resolved")
	}
	if len(c.Staff.Reasons) == 0 {
		c.Staff.Reasons = []string{"identity checked by hand", "document defective", "not entitled", "other"}
	}
	for _, r := range c.Staff.Reasons {
		if r == "" || len(r) > 80 {
			bad("staff", 0, "reasons", "a reason is empty or longer than 80 characters")
		}
	}
}

// String hides nothing but PIN hashes: a Config may be printed.
func (o Operator) String() string { return fmt.Sprintf("operator %s", o.Name) }
