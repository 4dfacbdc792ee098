"""libtorrent-rasterbar as a command: libtorrent_client.py seed|get TORRENT FOLDER ADDRESS PORT [PEER-ADDRESS PEER-PORT]
With a peer to connect to it knows no extension, not even peer exchange.
Prints one JSON line an event; `get` ends when every piece is verified, `seed` at SIGTERM, both after telling the tracker."""
import json
import signal
import sys

import libtorrent as lt

mode, torrent, folder, address, port, *peer = sys.argv[1:]
stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))


def tell(event, **fields):
    print(json.dumps({'event': event, **fields}), flush=True)


categories = lt.alert.category_t
session = lt.session({
    'listen_interfaces': ('[%s]:%s' if ':' in address else '%s:%s') % (address, port),
    'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False, 'enable_natpmp': False,
    'enable_outgoing_utp': False, 'enable_incoming_utp': False,
    'allow_multiple_connections_per_ip': True, 'announce_to_all_trackers': True,
    'tracker_completion_timeout': 5, 'stop_tracker_timeout': 1,
    'alert_mask': categories.status_notification | categories.error_notification | categories.tracker_notification},
    flags=0 if peer else lt.session_flags_t.add_default_plugins)
if torrent.startswith('magnet:'):
    wanted = lt.parse_magnet_uri(torrent)
else:
    wanted = lt.add_torrent_params()
    wanted.ti = lt.torrent_info(torrent)
wanted.save_path = folder
wanted.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
handle = session.add_torrent(wanted)
if peer:
    handle.connect_peer((peer[0], int(peer[1])))
while not stopping:
    session.wait_for_alert(200)
    for alert in session.pop_alerts():
        if isinstance(alert, lt.tracker_reply_alert):
            tell('announced', peers=alert.num_peers)
        elif isinstance(alert, (lt.hash_failed_alert, lt.peer_ban_alert, lt.tracker_error_alert, lt.torrent_error_alert)):
            tell(type(alert).__name__.removesuffix('_alert'), text=alert.message())
    status = handle.status()
    if status.is_seeding and mode == 'get':
        tell('done', bytes_up=status.total_payload_upload, bytes_down=status.total_payload_download)
        break
