package web

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"gateagent/gate"
)

// The configuration takes no markup; a page must not need that.
var ownWords = Messages{
	Closed:   Text{Vi: "Mời quý khách đến quầy 12, tầng trệt", En: "Please go to counter 12, ground floor"},
	Referred: Text{Vi: "Quầy <img src=x onerror=alert(1)> 3", En: "Counter <b>3</b> & next to it"},
	Staff:    Text{En: "Call <b>4711</b>"},
}

// saysOwnWords looks at the operator's words on the traveller's screen.
func saysOwnWords(t *testing.T, ctx context.Context, s *Server) {
	t.Helper()
	says := func(stage gate.Stage, opens time.Time, want ...string) {
		t.Helper()
		s.Show(view(stage, func(v *gate.View) { v.Opens = opens }))
		var text string
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			err := chromedp.Do(ctx, chromedp.WaitReady(chromedp.CSS(`body[data-stage=`+string(stage)+`]`)))
			if err == nil {
				text, err = chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector(".say").innerText`))
			}
			if err != nil {
				t.Fatal(err)
			}
			missing := len(want) == 0 && strings.TrimSpace(text) != ""
			for _, w := range want {
				missing = missing || !strings.Contains(text, w)
			}
			if !missing {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: the screen says %q, want %q", stage, text, want)
			}
		}
		if err := chromedp.Do(ctx, shot("traveller-own-"+string(stage))); err != nil {
			t.Fatal(err)
		}
	}
	soon := time.Now().Add(time.Hour).Truncate(time.Minute)
	says(gate.StageClosed, soon, ownWords.Closed.Vi, ownWords.Closed.En, "Opens at "+soon.Format("15:04"))
	says(gate.StageSeeStaff, time.Time{}, ownWords.Referred.Vi, ownWords.Referred.En)
	if n, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.querySelectorAll(".say img, .say span b, .say b b").length`)); err != nil || n != 0 {
		t.Errorf("the words became %d elements, %v", n, err)
	}
	says(gate.StageIdle, time.Time{})
	says(gate.StageOutOfOrder, time.Time{})
}

// What the pages are told of the operator's words.
func TestMessages(t *testing.T) {
	s, _ := serveWith(t, func(c *Config) { c.Messages = ownWords })
	told := func(v gate.View) string {
		b, err := json.Marshal(s.travellerViewOf(v))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := told(gate.View{Stage: gate.StageOutOfOrder}); got != `{"stage":"out_of_order"}` {
		t.Error(got)
	}
	if got := told(gate.View{Stage: gate.StageClosed, Opens: time.Date(2126, 12, 24, 5, 30, 0, 0, time.UTC)}); !strings.Contains(got, `"opens":"2126-12-24 05:30"`) || !strings.Contains(got, "counter 12") {
		t.Error(got)
	}
	c := newClient(t, s)
	c.signIn()
	if status, body := c.do("GET", "/staff/about", ""); status != 200 || !strings.Contains(body, `"message":{"vi":"","en":"Call \u003cb\u003e4711\u003c/b\u003e"}`) {
		t.Errorf("%d %s", status, body)
	}
}
