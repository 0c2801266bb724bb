// The chat page. Joins first and reads the history afterwards, so that nothing falls between the two; what comes twice is dropped by its id. A lost connection is taken up again
// with growing pauses, and the history is then read from the last message seen. The room's name comes from a data attribute, never from script text.
import { credentials, remember, remembered, say } from './pages.js';

const chat = document.getElementById('chat');
const room = chat.dataset.room;
const openAccess = document.body.dataset.access === 'open';
const log = document.getElementById('chat-log');
const input = document.getElementById('chat-message-input');
const me = document.getElementById('openId');
const state = document.getElementById('chat-state');
const error = document.getElementById('chat-error');

let socket = null;
let lastSeen = 0;                 // the greatest id shown
let waiting = null;               // frames that came while the history is being read
let attempts = 0;
let retry = 0;
let number = 0;
const unanswered = new Map();     // client_id → text, until it comes back

me.value = remembered('openId');

function showState(className, text) {
  state.className = 'pill ' + className;
  state.textContent = text;
}

function showMessage(message) {
  const id = Number(message.id || 0);
  if (id && id <= lastSeen) return;
  if (id) lastSeen = id;
  const text = message.message !== undefined ? message.message : message.content;
  const time = String(message.publish_date || '').slice(11);
  const sender = message.openId === undefined ? '' : String(message.openId);
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  log.value += (time ? time + ' ' : '') + (sender ? sender + ': ' : '') + text + '\n';
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function frameArrived(frame) {
  if (frame === null || typeof frame !== 'object') return;
  if (frame.status === 'fail') {
    error.textContent = frame.msg || say('消息被拒绝', 'refused');
    const text = unanswered.get(frame.client_id);
    unanswered.delete(frame.client_id);
    if (text !== undefined && input.value === '') input.value = text;      // what was refused is not lost
    return;
  }
  if (frame.status === 'hidden') {                           // taken away by the operator: what is left is read anew
    readAnew();
    return;
  }
  if (frame.client_id !== undefined) unanswered.delete(frame.client_id);
  if (frame.message === undefined) return;
  if (waiting) waiting.push(frame);
  else showMessage(frame);
}

// Who asks is in the query where the server wants to know; in `open` it does not, and an unknown openId may still listen.
function query() {
  const q = new URLSearchParams();
  if (!openAccess && me.value.trim()) q.set('openId', me.value.trim());
  return q;
}

async function readHistory(anew) {
  const q = query();
  q.set('pair_id', room);
  if (lastSeen && !anew) q.set('since', String(lastSeen));
  try {
    const reply = await fetch('/matching/get_history_action/?' + q, { headers: credentials(), cache: 'no-store' });
    const answer = await reply.json();
    if (reply.ok) {
      if (anew) lastSeen = 0;
      if (!lastSeen) log.value = '';
      answer.data.messages.forEach(showMessage);
    } else error.textContent = answer.msg || say('无法读取历史消息', 'the history cannot be read');
  } catch {
    error.textContent = say('无法读取历史消息', 'the history cannot be read');
  }
}

// What arrives meanwhile is shown behind it, as when a socket begins.
async function readAnew() {
  if (waiting) return;
  const held = waiting = [];
  await readHistory(true);
  if (waiting === held) waiting = null;
  held.forEach(showMessage);
}

function connect() {
  clearTimeout(retry);
  if (socket) {
    socket.onclose = null;
    socket.close();
  }
  showState('', say('连接中…', 'connecting…'));
  const q = query();
  if (remembered('session_key')) q.set('session_key', remembered('session_key'));
  const tail = String(q) ? '?' + q : '';
  const mine = socket = new WebSocket((location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + '/ws/chat/' + encodeURIComponent(room) + '/' + tail);
  waiting = [];
  mine.onopen = async () => {
    attempts = 0;
    showState('on', say('已连接', 'connected'));
    error.textContent = '';
    await readHistory();
    if (mine !== socket) return;
    const held = waiting;
    waiting = null;
    held.forEach(showMessage);
  };
  mine.onmessage = (event) => {
    try {
      frameArrived(JSON.parse(event.data));
    } catch {
      console.error('not a frame of ours:', event.data);
    }
  };
  mine.onclose = (event) => {
    console.error('Chat socket closed unexpectedly', event.code, event.reason);
    if (event.code === 1008) {
      showState('off', say('已断开', 'closed'));
      error.textContent = event.reason || say('你已不在这个房间，刷新页面可重试。', 'You are no longer in this room; reload the page to try again.');
      return;
    }
    if (attempts === 1) readHistory();                       // the socket is refused but reading may be allowed: former partners may still read
    const pause = Math.min(15000, 500 * 2 ** attempts++) * (0.75 + Math.random() / 2);
    showState('off', say('已断开，稍后重连', 'disconnected, trying again'));
    retry = setTimeout(connect, pause);
  };
}

function sendMessage() {
  const message = input.value;
  const openid = me.value.trim();
  error.textContent = '';
  if (!message) return;
  if (!openid) {
    error.textContent = say('请先填写 openId。', 'Fill in your openId first.');
    me.focus();
    return;
  }
  if (!socket || socket.readyState !== WebSocket.OPEN) {
    error.textContent = say('尚未连接，消息没有发出。', 'Not connected: the message was not sent.');
    return;
  }
  remember('openId', openid);
  const client_id = Date.now().toString(36) + '-' + (number++).toString(36);
  unanswered.set(client_id, message);
  socket.send(JSON.stringify({ openid, message, client_id }));
  input.value = '';
}

input.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.isComposing || event.keyCode === 229) return;      // Enter also chooses a word in Chinese input
  event.preventDefault();
  sendMessage();
});
document.getElementById('chat-message-submit').addEventListener('click', sendMessage);
me.addEventListener('change', () => {
  remember('openId', me.value.trim());
  if (!openAccess) connect();                                      // somebody else may hear something else
});
addEventListener('online', connect);
input.focus();
connect();
