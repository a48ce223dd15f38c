package fleet

import (
	"context"
	"fmt"
	"time"

	"gateagent/central/store"
	"gateagent/gate"
	"gateagent/gate/wire"
)

// maxEpochs are shown of one kiosk, the latest.
const maxEpochs = 20

// detailView is one kiosk's page.
type detailView struct {
	kioskView
	Now       time.Time
	Enrolled  time.Time
	Heads     []store.Head
	MoreHeads int
	Conflicts int
	Results   []resultView
}

type resultView struct {
	store.Result
	Record  *wire.Record
	Reasons []reasonView
	Face    string
	Note    string
}

// detail draws one kiosk.
func (v *viewer) detail(ctx context.Context, name string) (*detailView, error) {
	k, err := v.conf.Store.Kiosk(ctx, name)
	if err != nil {
		return nil, err
	}
	now := v.now()
	tallies, err := v.count(ctx, now)
	if err != nil {
		return nil, err
	}
	d := &detailView{Now: now, kioskView: drawKiosk(k, v.live()[name], tallies, now), Enrolled: k.Added}
	if d.Conflicts, err = v.conf.Store.Conflicts(ctx, name); err != nil {
		return nil, err
	}
	heads, all, err := v.conf.Store.Heads(ctx, name, maxEpochs)
	if err != nil {
		return nil, err
	}
	d.Heads, d.MoreHeads = heads, all-len(heads)
	results, err := v.conf.Store.LatestResults(ctx, name, 50)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		d.Results = append(d.Results, drawResult(r))
	}
	return d, nil
}

func drawResult(r store.Result) resultView {
	v := resultView{Result: r}
	rec, err := wire.DecodeRecord(r.Record)
	if err != nil {
		switch {
		case len(r.Body) == 0:
			v.Note = "its time was over, it is deleted"
		case r.Record == nil:
			v.Note = "cannot be opened"
		default:
			v.Note = "body of another form"
		}
		return v
	}
	v.Record = rec
	switch {
	case rec.Decision != nil:
		for _, c := range rec.Decision.Reasons {
			info := gate.Code(c).Info()
			v.Reasons = append(v.Reasons, reasonView{Name: info.Name, Text: info.Text})
		}
		v.Face = rec.Decision.Face
	case rec.Resolution != nil:
		v.Note = fmt.Sprintf("%s, by %s", rec.Resolution.Reason, rec.Resolution.Operator)
	}
	return v
}
