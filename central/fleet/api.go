package fleet

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// maxPage bounds the results in one answer.
const maxPage = 1000

// KioskJSON is one kiosk in /api/kiosks.json.
type KioskJSON struct {
	Kiosk     string       `json:"kiosk"`
	State     string       `json:"state"` // present, silent, absent, unseen, revoked
	Since     time.Time    `json:"since,omitzero"`
	Heard     time.Time    `json:"heard,omitzero"` // last heartbeat, by central's clock
	Status    *wire.Status `json:"status,omitempty"`
	CertEnds  time.Time    `json:"certificate_ends,omitzero"`
	Results   uint64       `json:"results"` // stored, over all epochs
	Conflicts int          `json:"conflicts"`
	// Unreadable counts stored results that central's keys do not open.
	Unreadable int `json:"unreadable"`
}

// AlarmJSON is one open alarm in /api/kiosks.json.
type AlarmJSON struct {
	Kiosk string    `json:"kiosk,omitempty"`
	Kind  string    `json:"kind"`
	Text  string    `json:"text"`
	Count int64     `json:"count"`
	Last  time.Time `json:"last"`
}

// FleetJSON is the answer of /api/kiosks.json.
type FleetJSON struct {
	At     time.Time   `json:"at"`
	Health []string    `json:"health"` // what is wrong with central; empty is well
	Kiosks []KioskJSON `json:"kiosks"`
	Alarms []AlarmJSON `json:"alarms"`
}

// ResultJSON is one stored result in /api/results.json.
type ResultJSON struct {
	ID       int64           `json:"id"`
	Kiosk    string          `json:"kiosk"`
	Epoch    string          `json:"epoch"`
	Number   uint64          `json:"number"`
	Hash     []byte          `json:"hash"`
	Received time.Time       `json:"received"`
	Record   json.RawMessage `json:"record,omitempty"` // what it says, when it can be opened
	Body     []byte          `json:"body,omitempty"`   // as it came, else; neither, when its time was over
}

// ResultsJSON is the answer of /api/results.json. Next is the id to go on
// from with after=; 0 when there was nothing more.
type ResultsJSON struct {
	Results []ResultJSON `json:"results"`
	Next    int64        `json:"next"`
}

func (s *Server) apiKiosks(w http.ResponseWriter, r *http.Request) {
	out, err := s.fleetJSON(r)
	if err != nil {
		s.trouble(w, err)
		return
	}
	s.json(w, out)
}

func (s *Server) fleetJSON(r *http.Request) (*FleetJSON, error) {
	ctx, now := r.Context(), s.view.now()
	out := &FleetJSON{At: now.UTC(), Health: append([]string{}, s.conf.Health()...), Kiosks: []KioskJSON{}, Alarms: []AlarmJSON{}}
	kiosks, err := s.conf.Store.Kiosks(ctx)
	if err != nil {
		return nil, err
	}
	stored, err := s.conf.Store.Stored(ctx)
	if err != nil {
		return nil, err
	}
	live := s.view.live()
	for _, k := range kiosks {
		l := live[k.Name]
		j := KioskJSON{Kiosk: k.Name, Heard: l.Heard, CertEnds: k.NotAfter, Results: stored[k.Name]}
		j.State, j.Since = presence(k, l, now)
		if st, err := wire.DecodeStatus(l.Status); err == nil {
			j.Status = st
		}
		if j.Conflicts, err = s.conf.Store.Conflicts(ctx, k.Name); err != nil {
			return nil, err
		}
		if j.Unreadable, err = s.conf.Store.Unreadable(ctx, k.Name); err != nil {
			return nil, err
		}
		out.Kiosks = append(out.Kiosks, j)
	}
	alarms, err := s.conf.Store.OpenAlarms(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range alarms {
		out.Alarms = append(out.Alarms, AlarmJSON{a.Kiosk, a.Kind, a.Text, a.Count, a.Last})
	}
	return out, nil
}

// apiResults answers ?kiosk=NAME&since=RFC3339&after=ID&limit=N.
func (s *Server) apiResults(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, since, limit, err := int64(0), time.UnixMilli(0), maxPage, error(nil)
	if v := q.Get("after"); v != "" {
		if after, err = strconv.ParseInt(v, 10, 64); err != nil {
			http.Error(w, "after: the id of a result", http.StatusBadRequest)
			return
		}
	}
	if v := q.Get("since"); v != "" {
		if since, err = time.Parse(time.RFC3339, v); err != nil {
			http.Error(w, "since: a time as in RFC 3339, 2026-01-31T12:00:00Z", http.StatusBadRequest)
			return
		}
	}
	if v := q.Get("limit"); v != "" {
		if limit, err = strconv.Atoi(v); err != nil || limit < 1 || limit > maxPage {
			http.Error(w, "limit: 1 to "+strconv.Itoa(maxPage), http.StatusBadRequest)
			return
		}
	}
	results, err := s.conf.Store.Results(r.Context(), q.Get("kiosk"), after, since, limit)
	if err != nil {
		s.trouble(w, err)
		return
	}
	out := ResultsJSON{Results: make([]ResultJSON, 0, len(results))}
	for _, res := range results {
		out.Results = append(out.Results, resultJSON(res))
	}
	if len(results) == limit {
		out.Next = results[limit-1].ID
	}
	s.json(w, out)
}

func resultJSON(r store.Result) ResultJSON {
	j := ResultJSON{ID: r.ID, Kiosk: r.Kiosk, Epoch: r.Epoch, Number: r.Number, Hash: r.Hash, Received: r.Received}
	if json.Valid(r.Record) {
		j.Record = r.Record
	} else {
		j.Body = r.Body
	}
	return j
}

func (s *Server) json(w http.ResponseWriter, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		s.log.Error("answer not encoded", "err", err)
		http.Error(w, "the answer could not be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(data, '\n')) // the client has gone
}
