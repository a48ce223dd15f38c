// Package config turns the kiosk's TOML file into a checked Config. An
// unknown key, a wrong type, a missing value or file is an error that names
// file, line and column. There is no default that admits anybody: what opens
// gates must be written down.
package config

import "time"

// Config is the checked configuration of one kiosk. Only Load makes one.
type Config struct {
	Gate     Gate      `toml:"gate"`
	State    State     `toml:"state"`
	Record   Record    `toml:"record"`
	Policy   Policy    `toml:"policy"`
	Face     Face      `toml:"face"`
	Clock    Clock     `toml:"clock"`
	Reader   Reader    `toml:"reader"`
	Scanner  []Scanner `toml:"scanner"`
	Barrier  Barrier   `toml:"barrier"`
	Trust    Trust     `toml:"trust"`
	List     List      `toml:"list"`
	Update   Update    `toml:"update"`
	Uplink   Uplink    `toml:"uplink"`
	Web      Web       `toml:"web"`
	Staff    Staff     `toml:"staff"`
	Hours    Hours     `toml:"hours"`
	Messages Messages  `toml:"messages"`
	Timing   Timing    `toml:"timing"`
	Log      Log       `toml:"log"`
}

// Gate names the gate.
type Gate struct {
	Name string `toml:"name"` // as in the allowlist's gates, e.g. "SGN-G12"
	Zone string `toml:"zone"` // IANA time zone, for expiry to the end of the day

	Location *time.Location `toml:"-"`
}

// State says where the kiosk keeps what must survive.
type State struct {
	Dir      string `toml:"dir"`
	Runtime  string `toml:"runtime"`   // lock files; empty: /run/gateagent
	MaxBytes Bytes  `toml:"max_bytes"` // bound of the outbox; default 1 GiB
	// MaxAge bounds how long a result may wait for central; default 90 days.
	MaxAge Duration `toml:"max_age"`
	// KeepAcked and KeepAckedBytes bound what stays after central has it;
	// default 7 days and 256 MiB.
	KeepAcked      Duration `toml:"keep_acked"`
	KeepAckedBytes Bytes    `toml:"keep_acked_bytes"`
}

// Record says what is written down, and for how long.
type Record struct {
	Level    string `toml:"level"`     // "full" (default), "standard" or "basic"; gate/wire explains them
	KeepDays int    `toml:"keep_days"` // records must be gone after so many days; 0: no such time
	SealKey  string `toml:"seal_key"`  // file with the key that a kiosk without central seals to
}

// Policy says who may pass.
type Policy struct {
	Name       string   `toml:"name"`
	Face       string   `toml:"face"` // "off" or "required": no default
	RequireCRL []string `toml:"require_crl"`

	CloneUnproven CloneUnproven `toml:"clone_unproven"`
}

// CloneUnproven says whose documents may pass without any proof that their
// chip is no copy.
type CloneUnproven struct {
	Issuers   []string `toml:"issuers"`
	Threshold float64  `toml:"threshold"` // least score; 0: the calibration record's alone
}

// Face says how faces are compared; it counts where policy.face is "required".
type Face struct {
	LegalBasis      string   `toml:"legal_basis"` // policy code carried in the records
	MinAge          int      `toml:"min_age"`     // years; default 14
	Source          string   `toml:"source"`      // "camera" (default) or "page"
	Device          string   `toml:"device"`      // of source "camera", below /dev/v4l/by-id
	Pack            string   `toml:"pack"`        // folder of the model pack
	PackHash        string   `toml:"pack_hash"`   // SHA-256 of its pack.json, hex
	Library         string   `toml:"library"`     // libonnxruntime
	CalibrationKeys []string `toml:"calibration_keys"`
	Demo            bool     `toml:"demo"`   // admit with a pack that has no calibration record
	Attack          string   `toml:"attack"` // presentation attacks: "off", "evaluatory" (default), "required"
	// Challenge is what travellers are asked for: "off" (default), "turn",
	// "light" or "random". AttackScore is the least score of the models that
	// attack "required" takes; 0 leaves it advisory.
	Challenge   string   `toml:"challenge"`
	AttackScore float64  `toml:"attack_score"`
	Consent     Duration `toml:"consent"`
	Limit       Duration `toml:"limit"` // of capture and comparison
}

// Clock says which time is trusted.
type Clock struct {
	Source      string   `toml:"source"` // "kernel" (default) or "assume"
	MaxHoldover Duration `toml:"max_holdover"`
}

// Reader is the card reader.
type Reader struct {
	Name   string `toml:"name"`
	Shared bool   `toml:"shared"`
}

// Scanner is one serial scanner.
type Scanner struct {
	Path          string   `toml:"path"`
	Baud          int      `toml:"baud"`
	Framing       string   `toml:"framing"` // "line", "stx_etx", "soh_mrz", "idle"
	IdleGap       Duration `toml:"idle_gap"`
	MaxFrame      int      `toml:"max_frame"`
	AllowUnstable bool     `toml:"allow_unstable"`
}

// Barrier is the gate's output; drivers/barrier explains the profiles.
type Barrier struct {
	Path          string   `toml:"path"`
	Baud          int      `toml:"baud"`
	Profile       string   `toml:"profile"` // "modbus" or "timed"
	Active        string   `toml:"active"`  // modbus: "energised_opens" or "energised_shuts"
	Pulse         Duration `toml:"pulse"`
	Passage       Duration `toml:"passage"` // passage window
	EndOnPassage  bool     `toml:"end_on_passage"`
	Address       int      `toml:"address"` // modbus
	Relay         int      `toml:"relay"`
	Input         int      `toml:"input"`
	Open          string   `toml:"open"` // timed
	Shut          string   `toml:"shut"`
	Ack           string   `toml:"ack"`
	Passed        string   `toml:"passed"`
	AllowUnstable bool     `toml:"allow_unstable"`
}

// Trust is the folder of CSCA certificates, master lists and CRLs.
type Trust struct {
	Dir string `toml:"dir"`
}

// List is the allowlist.
type List struct {
	Dir  string   `toml:"dir"`  // where lists arrive; what is in force lies in the state folder
	Keys []string `toml:"keys"` // files with Ed25519 public keys; empty: those of the enrolment bundle
	// Protect says where the kiosk's key lies that opens list secrets: "file",
	// "credential" or "tpm".
	Protect string `toml:"protect"`
	TPM     string `toml:"tpm"`  // device of the TPM 2.0
	PCRs    []int  `toml:"pcrs"` // registers whose values the TPM asks for; empty: none
}

// RootOfBundle stands for the root that came with the enrolment bundle.
const RootOfBundle = "bundle"

// Update is what central pushes. Without a root nothing is taken.
type Update struct {
	Root    string   `toml:"root"`    // file with the repository's first root, or RootOfBundle
	Airport string   `toml:"airport"` // IATA code, whose lists the kiosk takes; empty: lists come into list.dir alone
	Mirrors []string `toml:"mirrors"` // https://HOST/FOLDER, in the order in which they are tried
	CA      string   `toml:"ca"`      // file with the CA of the mirrors' certificates; empty: central's
	Every   Duration `toml:"every"`   // between looks at the mirrors; default 5 min
	Ages    []Age    `toml:"age"`
	Freezes []Freeze `toml:"freeze"`
}

// Age is what the age of something pushed leads to; 0 is never.
type Age struct {
	Of    string   `toml:"of"`    // "timestamp" or what is pushed
	Show  Duration `toml:"show"`  // staff see it
	Flag  Duration `toml:"flag"`  // results carry it
	Refer Duration `toml:"refer"` // nobody is admitted
}

// Freeze is a time in which no software is taken.
type Freeze struct {
	From string `toml:"from"` // day of the gate's zone, 2026-12-18
	To   string `toml:"to"`   // last day

	Begin time.Time `toml:"-"`
	End   time.Time `toml:"-"`
}

// Uplink is the way to central. Empty Brokers: those of the enrolment bundle.
type Uplink struct {
	Off     bool     `toml:"off"`
	Brokers []string `toml:"brokers"`
	Stable  Duration `toml:"stable"` // how long a better path must work before it is gone back to; default 30 s
	Paths   []Path   `toml:"path"`   // best first; empty: whatever the kernel's routes say
}

// Path is one way to the broker.
type Path struct {
	Name      string   `toml:"name"`
	Interface string   `toml:"interface"` // network interface; empty: as the kernel's routes say
	Brokers   []string `toml:"brokers"`   // empty: those of [uplink]
	Budget    Bytes    `toml:"budget"`    // per period; 0: not metered
	Period    string   `toml:"period"`    // "day" or "month"; needed with a budget
}

// Web is the kiosk's own pages; loopback only.
type Web struct {
	Listen string `toml:"listen"`
}

// Staff names who may resolve referrals.
type Staff struct {
	Operators []Operator `toml:"operator"`
	Reasons   []string   `toml:"reasons"`
}

// Operator is one named operator with the hash of the PIN, made by
// `gateagent pin`.
type Operator struct {
	Name string `toml:"name"`
	PIN  string `toml:"pin"`
}

// Hours says when the gate is open, in gate.zone. Each day holds spans such as
// "05:00-23:30"; without any day the gate is always open.
type Hours struct {
	Monday    []string `toml:"monday"`
	Tuesday   []string `toml:"tuesday"`
	Wednesday []string `toml:"wednesday"`
	Thursday  []string `toml:"thursday"`
	Friday    []string `toml:"friday"`
	Saturday  []string `toml:"saturday"`
	Sunday    []string `toml:"sunday"`

	Exceptions []Exception `toml:"exception"`

	Week  [7][]Span         `toml:"-"` // as they were read, by time.Weekday
	Dates map[string][]Span `toml:"-"` // the exceptions, by date
}

// Exception is a day with hours of its own.
type Exception struct {
	Date string   `toml:"date"` // 2026-12-24
	Open []string `toml:"open"` // its spans; none: closed
}

// Messages are the operator's own short texts on the screens, in plain text.
type Messages struct {
	Closed     Message `toml:"closed"`       // where to go while the gate is closed
	Referred   Message `toml:"referred"`     // where travellers find staff
	OutOfOrder Message `toml:"out_of_order"` // where to go while the gate is out of order
	Staff      Message `toml:"staff"`        // on the staff page
}

// Message is one text in the languages of the screens.
type Message struct {
	Vi string `toml:"vi"`
	En string `toml:"en"`
}

// Timing bounds the lane's waits; zero means the default.
type Timing struct {
	Card        Duration `toml:"card"`
	Scan        Duration `toml:"scan"`
	Transaction Duration `toml:"transaction"`
	Outcome     Duration `toml:"outcome"`
}

// Log sets the journal's level: debug, info (default), warn, error.
type Log struct {
	Level string `toml:"level"`
}

// Duration is a TOML string such as "5s" or "72h".
type Duration time.Duration

// UnmarshalText reads the duration; a negative one is an error.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return errDuration(b)
	}
	if v < 0 {
		return errDuration(b)
	}
	*d = Duration(v)
	return nil
}

// Std is the value as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }
