// pion as a sender: one track, packetized once, bound to every viewer's connection.
//
//	pion CLIP.h264 ADDRESS
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/webrtc"
	"github.com/pion/webrtc/pkg/media"
)

const period = time.Second / 30

type command struct {
	Op  string `json:"op"`
	ID  string `json:"id"`
	SDP string `json:"sdp"`
}

// pictures splits Annex B with one slice a picture, so that parameter sets go with the picture that follows.
func pictures(clip []byte) [][]byte {
	var all [][]byte
	code := []byte{0, 0, 1}
	begin := 0
	for at := bytes.Index(clip, code); at >= 0; {
		kind := clip[at+3] & 0x1f
		next := bytes.Index(clip[at+3:], code)
		end := len(clip)
		if next >= 0 {
			next += at + 3
			end = next
		}
		if kind == 1 || kind == 5 {
			all = append(all, clip[begin:end])
			begin = end
		}
		at = next
	}
	return all
}

func play(track *webrtc.TrackLocalStaticSample, all [][]byte) {
	due := time.Now()
	for index := 0; ; index = (index + 1) % len(all) {
		if err := track.WriteSample(media.Sample{Data: all[index], Duration: period}); err != nil {
			fmt.Fprintln(os.Stderr, err) // a viewer who has just left
		}
		due = due.Add(period)
		time.Sleep(time.Until(due))
	}
}

func newAPI(address string) (*webrtc.API, error) {
	loggers := logging.NewDefaultLoggerFactory()
	loggers.Writer = os.Stderr // its default is where the driver reads
	settings := webrtc.SettingEngine{LoggerFactory: loggers}
	settings.SetIPFilter(func(ip net.IP) bool { return ip.String() == address })
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	codecs, interceptors := &webrtc.MediaEngine{}, &interceptor.Registry{}
	if err := codecs.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	if err := webrtc.RegisterDefaultInterceptors(codecs, interceptors); err != nil {
		return nil, err
	}
	return webrtc.NewAPI(
		webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(codecs), webrtc.WithInterceptorRegistry(interceptors),
	), nil
}

func answer(api *webrtc.API, track webrtc.TrackLocal, offer string) (*webrtc.PeerConnection, error) {
	peer, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	sender, err := peer.AddTrack(track)
	if err != nil {
		return nil, err
	}
	go func() { // interceptors hear of RTCP only while somebody reads it
		buffer := make([]byte, 1500)
		for {
			if _, _, err := sender.Read(buffer); err != nil {
				return
			}
		}
	}()
	if err := peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return nil, err
	}
	made, err := peer.CreateAnswer(nil)
	if err != nil {
		return nil, err
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(made); err != nil {
		return nil, err
	}
	<-gathered
	return peer, nil
}

func run() error {
	clip, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	api, err := newAPI(os.Args[2])
	if err != nil {
		return err
	}
	h264 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}
	track, err := webrtc.NewTrackLocalStaticSample(h264, "video", "camera")
	if err != nil {
		return err
	}
	go play(track, pictures(clip))
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]bool{"ready": true}); err != nil {
		return err
	}
	peers := map[string]*webrtc.PeerConnection{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		if c.Op == "leave" {
			peers[c.ID].Close()
			delete(peers, c.ID)
			continue
		}
		peer, err := answer(api, track, c.SDP)
		if err != nil {
			return err
		}
		peers[c.ID] = peer
		if err := out.Encode(map[string]string{"id": c.ID, "answer": peer.LocalDescription().SDP}); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
