package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Roles of the update repository below root, snapshot and timestamp (The
// Update Framework, specification 1.0.31, sections 2.1 and 4). The top-level
// role targets names no target itself: it delegates each family of paths to
// one role, and every delegation is terminating.
const (
	RoleRoot        = "root"
	RoleTargets     = "targets"
	RoleSnapshot    = "snapshot"
	RoleTimestamp   = "timestamp"
	RoleTrust       = "trust"       // trust/*: country certificates, master, revocation and defect lists
	RoleSoftware    = "software"    // software/*
	RoleModels      = "models"      // models/*: face models and calibration records
	RoleSettings    = "settings"    // settings/*
	RoleRevocations = "revocations" // revocations/*: signed online, so its format can only remove

	airportRole = "airport-" // airport-SGN: lists/SGN/*
)

// Kinds of targets. A kiosk ignores a kind that it does not know, with a
// notice.
const (
	KindList        = "list"  // the statement of an allowlist: what the table must hash to
	KindTable       = "table" // its table, whole
	KindDelta       = "delta" // a patch from one version of the table to another
	KindRevocations = "revocations"
	KindTrust       = "trust"
	KindSettings    = "settings"
	KindSoftware    = "software"
	KindModels      = "models"
)

// Folders of a repository, below its address or on a stick.
const (
	RepoMetadata = "metadata"
	RepoTargets  = "targets"
)

// TopicTimestamp carries timestamp.json itself, retained, as soon as a new one
// is in force. TUF signs it; the topic is the same for all kiosks.
const TopicTimestamp = "gate/tuf/timestamp"

// TimestampIssued is a field that our timestamp role has beside those of the
// specification (section 4.2 allows more): when it was signed, RFC 3339. The
// age of the newest one is how fresh a kiosk is.
const TimestampIssued = "issued"

// Bounds of what a kiosk reads of a repository before it is proven.
const (
	MaxTimestampBytes = 16 << 10
	MaxRootBytes      = 256 << 10
	MaxSnapshotBytes  = 256 << 10
	MaxTargetsBytes   = 4 << 20
	MaxRootRotations  = 256 // roots in one step of a kiosk that was away
	maxCustomBytes    = 4 << 10
	maxTargetName     = 100
	maxTargetVersion  = 1 << 53 // what JSON numbers hold exactly
)

// ErrTargetKind says that a target is of a kind that this release does not
// know: to be ignored with a notice, not refused.
var ErrTargetKind = errors.New("unknown kind of target")

// Target is what a target file's entry says of it beside length and hashes:
// the object custom (TUF specification, section 4.5).
type Target struct {
	Kind    string    `json:"kind"`
	Version uint64    `json:"version"` // grows with every change under this path
	Issued  time.Time `json:"issued"`  // UTC, whole seconds
	Expires time.Time `json:"expires"`

	Generation uint32 `json:"generation,omitempty"` // list, table, delta: whose keys they are under
	From       uint64 `json:"from,omitempty"`       // delta: the version that it makes Version of

	Release string `json:"release,omitempty"` // software: as git describe names it
	Arch    string `json:"arch,omitempty"`    // software: amd64 or arm64
	After   string `json:"after,omitempty"`   // software: the oldest release that it may replace; any when empty

	// Canary: settings, software, models: for this share of the kiosks, in per
	// cent; 0 means everybody.
	Canary uint8 `json:"canary,omitempty"`
}

// AirportRole names the role that signs the lists of an airport (IATA code,
// three capital letters).
func AirportRole(iata string) (string, error) {
	if err := checkIATA(iata); err != nil {
		return "", err
	}
	return airportRole + iata, nil
}

// RoleAirport gives the airport of a role, if it is one's.
func RoleAirport(role string) (iata string, ok bool) {
	iata, ok = strings.CutPrefix(role, airportRole)
	return iata, ok && checkIATA(iata) == nil
}

func checkIATA(iata string) error {
	if len(iata) == 3 && strings.Trim(iata, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		return nil
	}
	return fmt.Errorf("%w: airport %q: want its IATA code, three capital letters", ErrFormat, clip(iata))
}

// RolePaths gives the patterns of paths that targets delegates to a role.
func RolePaths(role string) ([]string, error) {
	if iata, ok := RoleAirport(role); ok {
		return []string{"lists/" + iata + "/*"}, nil
	}
	switch role {
	case RoleTrust, RoleSoftware, RoleModels, RoleSettings, RoleRevocations:
		return []string{role + "/*"}, nil
	}
	return nil, fmt.Errorf("%w: role %q: want airport-XXX, trust, software, models, settings or revocations", ErrFormat, clip(role))
}

// TargetRole gives the role that signs a target path, and refuses a path that
// is none: lists/<IATA>/<name>, or <role>/<name>; names are 1 to 100 of
// letters, digits, dot, hyphen and underscore, and begin with a letter or
// digit.
func TargetRole(path string) (string, error) {
	parts := strings.Split(path, "/")
	if err := checkTargetName(parts[len(parts)-1]); err != nil {
		return "", err
	}
	switch {
	case len(parts) == 3 && parts[0] == "lists":
		return AirportRole(parts[1])
	case len(parts) == 2 && parts[0] != "lists":
		if _, airport := RoleAirport(parts[0]); !airport {
			if _, err := RolePaths(parts[0]); err == nil {
				return parts[0], nil
			}
		}
	}
	return "", fmt.Errorf("%w: target path %q: want lists/<IATA>/<name>, or trust, software, models, settings or revocations/<name>",
		ErrFormat, clip(path))
}

func checkTargetName(name string) error {
	ok := name != "" && len(name) <= maxTargetName
	for i, c := range []byte(name) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = ok && (alnum || i > 0 && (c == '.' || c == '-' || c == '_'))
	}
	if ok {
		return nil
	}
	return fmt.Errorf("%w: target name %q: want 1 to %d letters, digits, dots, hyphens and underscores, the first a letter or digit",
		ErrFormat, clip(name), maxTargetName)
}

// kindsOf lists what a role may hold.
func kindsOf(role string) []string {
	if _, airport := RoleAirport(role); airport {
		return []string{KindList, KindTable, KindDelta}
	}
	return []string{role} // the others hold the kind of their own name
}

// ListPath, TablePath and DeltaPath are the paths of an airport's list; its
// statement keeps one path, and table and deltas have their versions in it.
func ListPath(iata string) string { return "lists/" + iata + "/statement" }

// TablePath is the path of a whole table.
func TablePath(iata string, version uint64) string {
	return fmt.Sprintf("lists/%s/table-%d", iata, version)
}

// DeltaPath is the path of a patch.
func DeltaPath(iata string, from, to uint64) string {
	return fmt.Sprintf("lists/%s/delta-%d-%d", iata, from, to)
}

// RevocationsPath is the path of the revocations of an airport's list.
func RevocationsPath(iata string) string { return "revocations/" + iata }

// MetadataFile names a file of metadata below the repository's address, as
// consistent snapshots want it (TUF specification, section 6.2).
func MetadataFile(role string, version int64) string {
	if role == RoleTimestamp {
		return RepoMetadata + "/timestamp.json"
	}
	return RepoMetadata + "/" + strconv.FormatInt(version, 10) + "." + role + ".json"
}

// TargetFile names the file of a target below the repository's address.
func TargetFile(path string, sha256 []byte) string {
	folder, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		folder, name = path[:i+1], path[i+1:]
	}
	return RepoTargets + "/" + folder + hex.EncodeToString(sha256) + "." + name
}

// Encode checks the entry of a path and writes it as custom.
func (t *Target) Encode(path string) ([]byte, error) {
	if err := t.Check(path); err != nil {
		return nil, err
	}
	return encode("target "+clip(path), t, maxCustomBytes)
}

// ParseTarget reads the custom of a path: strictly, since what it says decides
// what is taken. ErrTargetKind means a kind of a newer release.
func ParseTarget(path string, custom []byte) (*Target, error) {
	if len(custom) > maxCustomBytes {
		return nil, fmt.Errorf("target %s: %w: custom of %d bytes, at most %d are read", clip(path), ErrFormat, len(custom), maxCustomBytes)
	}
	var first struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(custom, &first); err != nil {
		return nil, fmt.Errorf("target %s: %w: custom: %s", clip(path), ErrFormat, jsonFault(err))
	}
	if !knownKind(first.Kind) {
		return nil, fmt.Errorf("target %s: %w %q", clip(path), ErrTargetKind, clip(first.Kind))
	}
	t := new(Target)
	d := json.NewDecoder(bytes.NewReader(custom))
	d.DisallowUnknownFields()
	if err := d.Decode(t); err != nil {
		return nil, fmt.Errorf("target %s: %w: custom: %s, or a field of a newer release", clip(path), ErrFormat, jsonFault(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("target %s: %w: something follows custom", clip(path), ErrFormat)
	}
	if err := t.Check(path); err != nil {
		return nil, err
	}
	return t, nil
}

func knownKind(kind string) bool {
	switch kind {
	case KindList, KindTable, KindDelta, KindRevocations, KindTrust, KindSettings, KindSoftware, KindModels:
		return true
	}
	return false
}

// Check refuses an entry that does not fit its path or itself.
func (t *Target) Check(path string) error {
	role, err := TargetRole(path)
	if err != nil {
		return err
	}
	if fault := t.fault(role); fault != "" {
		return fmt.Errorf("target %s: %w: %s", path, ErrFormat, fault)
	}
	return nil
}

func (t *Target) fault(role string) string {
	fits := false
	for _, kind := range kindsOf(role) {
		fits = fits || kind == t.Kind
	}
	_, airport := RoleAirport(role)
	ofList := airport || t.Kind == KindRevocations
	staged := t.Kind == KindSettings || t.Kind == KindSoftware || t.Kind == KindModels
	switch {
	case !fits:
		return fmt.Sprintf("kind %q does not belong to role %s", clip(t.Kind), role)
	case t.Version == 0 || t.Version > maxTargetVersion:
		return fmt.Sprintf("version %d: want 1 to 2^53", t.Version)
	case !wholeUTC(t.Issued) || !wholeUTC(t.Expires):
		return "issued and expires: want whole seconds in UTC"
	case !t.Expires.After(t.Issued):
		return "it expires before it is issued"
	case airport && t.Generation == 0 || !ofList && t.Generation != 0:
		return "a generation belongs to what is of a list, and only to that"
	case (t.From != 0) != (t.Kind == KindDelta) || t.From != 0 && t.From >= t.Version:
		return "from: a delta leads from an older version, nothing else has one"
	case (t.Release != "" || t.Arch != "") != (t.Kind == KindSoftware) || t.After != "" && t.Kind != KindSoftware:
		return "release, arch and after belong to software"
	case t.Kind == KindSoftware && (checkTargetName(t.Release) != nil || t.Arch != "amd64" && t.Arch != "arm64" || t.After != "" && checkTargetName(t.After) != nil):
		return "software states its release and its arch, amd64 or arm64"
	case t.Canary > 100 || t.Canary != 0 && !staged:
		return "canary: 1 to 100 per cent, of settings, software and models"
	}
	return ""
}

func wholeUTC(t time.Time) bool {
	_, offset := t.Zone()
	return !t.IsZero() && offset == 0 && t.Nanosecond() == 0
}
