package face

import (
	"fmt"
	"testing"
	"time"

	"gateagent/match/face/engine"
	"gateagent/match/face/picture"
)

func TestExplore(t *testing.T) {
	each(t, func(t *testing.T, e *engine.Engine, threshold float64) {
		for _, w := range []int{320} {
			for _, who := range []int{0,1,3,4,6,8} {
				p := Cast()[who]
				var front engine.Relief
				var tf engine.Template
				yaw0 := 0.0
				look := func(name string, yaw float64, img []byte) {
					pic := picture.New(w, w*3/4)
					for i := range w * w * 3 / 4 {
						copy(pic.Pix[3*i:3*i+3], img[4*i:])
					}
					f, err := e.Subject(pic)
					if err != nil {
						fmt.Println(who, name, yaw, err)
						return
					}
					q := engine.Measure(pic, f)
					r := engine.NewRelief(pic, f)
					tm, _ := e.Template(pic, f)
					if front.None() {
						front, tf, yaw0 = r, tm, q.Yaw
					}
					b := time.Now()
					fl := front.Flat(r)
					fmt.Printf("%d %d %s %5.1f: dyaw %5.1f flat %.3f like %.2f (%v)\n", w, who, name, yaw, q.Yaw-yaw0, fl, engine.Cosine(tf, tm), time.Since(b))
				}
				for _, yaw := range []float64{0, 10, 18, 25, -18, -25} {
					look("head", yaw, Draw(p, Shot{Behind: Hall, Size: 0.2, LightFrom: 15, Hard: 0.3, Noise: 0.3, Yaw: yaw}, w, w*3/4).Pix)
				}
				front = engine.Relief{}
				paper := Paper(p, w*3/4)
				for _, bend := range []float64{0, 90} {
					for _, yaw := range []float64{0, 20, 30, 40, -30, -40} {
						look(fmt.Sprint("sheet ", bend), yaw, Hold(paper, Sheet{Turn: yaw, Bend: bend, Lean: yaw / 10}, 1, w, w*3/4).Pix)
					}
				}
			}
		}
	})
}
