package wire

import "time"

// Bounds of the small messages.
const (
	MaxAckBytes      = 4 << 10
	MaxPresenceBytes = 1 << 10
	MaxStatusBytes   = 32 << 10
	MaxTimeBytes     = 1 << 10 // of a question for the time and of its answer
	MaxNotices       = 32
)

// Presence says whether a kiosk is connected. Up=false is the last will.
type Presence struct {
	V       int       `json:"v"`
	Up      bool      `json:"up"`
	Session string    `json:"session"` // one per connection: a late last will does not undo a newer connection
	At      time.Time `json:"at"`      // when the connection began, by the kiosk's clock
}

// Status is the kiosk's heartbeat. It is not evidence: nothing is decided by
// it and it is not signed.
type Status struct {
	V       int       `json:"v"`
	At      time.Time `json:"at"`
	Session string    `json:"session"` // as in Presence; set by the uplink
	Version string    `json:"version"` // of the software
	Gate    string    `json:"gate"`
	Stage   string    `json:"stage"`

	Epoch         string    `json:"epoch"`
	LastNumber    uint64    `json:"last_number"` // newest result
	Acknowledged  uint64    `json:"acknowledged"`
	QueueDepth    int       `json:"queue_depth"`
	OldestUnacked time.Time `json:"oldest_unacked,omitzero"`

	Uplink  UplinkStatus `json:"uplink,omitzero"`
	Clock   ClockStatus  `json:"clock"`
	DocKeys string       `json:"doc_keys,omitempty"` // the newest key of document references that the kiosk holds
	List    ListStatus   `json:"list"`
	Secrets string       `json:"list_secrets,omitempty"` // names the list secrets of central's that the kiosk holds
	Airport string       `json:"airport,omitempty"`      // whose pushed lists the kiosk takes
	Update  []InForce    `json:"update,omitempty"`       // what central pushed, by role; the root as the first
	FaceOff bool         `json:"face_off"`
	Policy  string       `json:"policy"`
	Notices []Notice     `json:"notices,omitempty"`
}

// UplinkStatus says over which path the kiosk reaches central.
type UplinkStatus struct {
	Path      string    `json:"path,omitempty"`      // empty: there is but one
	Heartbeat int       `json:"heartbeat,omitempty"` // seconds until the next status at most; 0: 10
	Budget    int64     `json:"budget,omitempty"`    // bytes that a metered path may carry in a period
	Left      int64     `json:"left,omitempty"`      // of them
	Until     time.Time `json:"until,omitzero"`      // when the period ends
}

// ClockStatus says where the kiosk's time comes from.
type ClockStatus struct {
	Source  string    `json:"source,omitempty"` // as Record.ClockSource
	Trusted bool      `json:"trusted"`
	Since   time.Time `json:"since,omitzero"` // when the source last spoke
	Until   time.Time `json:"until,omitzero"` // when holdover ends
}

// ListStatus describes the allowlist in force.
type ListStatus struct {
	Present    bool      `json:"present"`
	Generation uint32    `json:"generation"`
	Version    uint64    `json:"version"`
	Entries    uint64    `json:"entries,omitempty"`
	Issued     time.Time `json:"issued,omitzero"`
	Expires    time.Time `json:"expires,omitzero"`
	Problem    string    `json:"problem,omitempty"`
	// Root is the beginning of the hash that stands for the whole table.
	Root        string `json:"root,omitempty"`
	Revocations uint64 `json:"revocations,omitempty"` // number of the newest change in force
}

// InForce is what is in force of a role of the update repository. Two kiosks
// with one version of root, trust, a list or revocations have one hash.
type InForce struct {
	Role    string    `json:"role"`
	Version uint64    `json:"version"`
	Hash    string    `json:"hash,omitempty"`  // hexadecimal, a part; of a list its root's
	Issued  time.Time `json:"issued,omitzero"` // of the timestamp: when it was signed
}

// NoticeUpdateAlarm is the source of notices about what was pushed and must be
// looked at; central raises its own alarm for each.
const NoticeUpdateAlarm = "update alarm"

// Notice is one line about a device or a supply.
type Notice struct {
	Level  string `json:"level"` // info, warning, fault
	Source string `json:"source"`
	Text   string `json:"text"`
}

// Queue is where the results of one epoch stand.
type Queue struct {
	Epoch        string
	Last         uint64    // newest number
	Acknowledged uint64    // by central
	Oldest       time.Time // of the oldest result that is not; zero when there is none
	Bytes        int64     // on disk, kept results included
	MaxBytes     int64     // where admissions are refused
}
