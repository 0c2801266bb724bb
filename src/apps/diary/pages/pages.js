// What makes the forms nicer: they are sent without leaving the page and the answer is shown below. Without this script they work as plain forms.
//
// Whoever one is (openId, and the session token that login gave) is remembered for this tab only, so that two tabs can be two people. All text from outside goes through textContent.

const chinese = document.documentElement.lang !== 'en';
export const say = (zh, en) => (chinese ? zh : en);
const feelings = chinese ? ['静', '乐', '好', '怒', '哀', '惧', '恶', '惊'] : ['Peaceful', 'Happy', 'Satisfied', 'Angry', 'Sad', 'Worried', 'Disgusted', 'Surprised'];

export function remembered(key) {
  try {
    return sessionStorage.getItem('weir.' + key) || '';
  } catch {
    return '';
  }
}

export function remember(key, value) {
  try {
    sessionStorage.setItem('weir.' + key, value);
  } catch {
    // storage may be forbidden; then nothing is remembered
  }
}

export function credentials() {
  const token = remembered('session_key');
  return token ? { Authorization: 'Bearer ' + token } : {};
}

function element(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

// ---- who am I ----

function fillFields(scope) {
  const query = new URLSearchParams(location.search);
  for (const input of scope.querySelectorAll('input, textarea')) {
    if (input.value || input.type === 'file' || input.type === 'hidden') continue;
    if (query.has(input.name)) input.value = query.get(input.name);
    else if (input.name === 'openId') input.value = remembered('openId');
    else if (input.name === 'diaryId' || input.name === 'pair_id') input.value = remembered(input.name);
  }
}

const who = document.getElementById('who-openid');
if (who) {
  document.getElementById('who').hidden = false;
  who.value = remembered('openId');
  who.addEventListener('change', () => {
    const before = remembered('openId');
    remember('openId', who.value.trim());
    if (document.body.dataset.access === 'open') remember('session_key', '');
    for (const input of document.querySelectorAll('input[name=openId]')) {
      if (input.value !== '' && input.value !== before) continue;
      input.value = who.value.trim();
      input.dispatchEvent(new Event('change'));
    }
  });
}

// ---- answers ----

function chip(code) {
  const known = feelings[code] !== undefined && /^[0-7]$/.test(code);
  return element('span', known ? code + ' ' + feelings[code] : String(code), 'chip' + (known ? ' e' + code : ''));
}

function link(to, text) {
  const a = element('a', text);
  a.href = to;
  return a;
}

function note(list, ...parts) {
  const li = element('li');
  li.append(...parts);
  list.append(li);
}

function noteDiary(list, diary) {
  const id = String(diary.diary_id);
  note(list, chip(diary.emotion), link('/matching/get_diary/?diaryId=' + encodeURIComponent(id), diary.title || diary.content || '#' + id), ' ', element('span', diary.publish_date || '', 'soft'));
}

// A few lines in words above the JSON: feelings with their names and colours, links onwards, pictures.
function notes(list, answer) {
  const data = answer && typeof answer === 'object' ? answer.data : null;
  if (!data || typeof data !== 'object') return;
  if (typeof data.emotion === 'string') note(list, chip(data.emotion));
  if (data.diary) noteDiary(list, data.diary);
  if (Array.isArray(data.diaries)) data.diaries.slice(0, 50).forEach((diary) => noteDiary(list, diary));
  if (data.match && data.match.user) {
    const name = data.match.user.nickName && data.match.user.nickName !== 'None' ? data.match.user.nickName : data.match.user.openId;
    note(list, say('匹配对象：', 'matched with '), element('b', name), ' · ', link('/matching/get_pair/', say('查看聊天房间', 'find the chat room')));
  }
  if (typeof data.pair_id === 'string') {
    remember('pair_id', data.pair_id);
    note(list, link('/matching/room/' + encodeURIComponent(data.pair_id) + '/', say('进入聊天房间', 'enter the chat room')));
  }
  const openid = data.openid || data.openId;
  if (typeof openid === 'string') {
    remember('openId', openid);
    remember('session_key', typeof data.session_key === 'string' ? data.session_key : '');
    if (who) who.value = openid;
    note(list, say('已登录，本标签页的其他页面会使用这个 openId。', 'Logged in: the other pages in this tab will use this openId.'));
  }
  const picture = data.image && (data.image.thumburl || data.image.photourl);
  if (typeof picture === 'string') {
    try {
      const from = new URL(picture, location.href), to = new URL(data.image.photourl || picture, location.href);
      const img = element('img');
      img.alt = data.image.name || '';
      img.src = from.pathname + from.search;                 // our own, whatever name the server is known by outside
      const a = link(to.pathname + to.search, '');
      a.append(img);
      note(list, a);
    } catch {
      // not an address: the JSON shows it
    }
  }
}

function showAnswer(box, status, milliseconds, text) {
  let answer;
  let shown = text;
  try {
    answer = JSON.parse(text);
    shown = JSON.stringify(answer, null, 2);
  } catch {
    answer = undefined;
  }
  const bad = status === 0 || status >= 400 || (answer && answer.status === 'fail') || (answer && answer.data && answer.data.errcode);
  box.className = 'card answer shown' + (bad ? ' bad' : '');
  const list = element('ul', undefined, 'notes');
  if (!bad) notes(list, answer);
  const heading = element('h2', bad ? say('出错了', 'Refused') : say('回答', 'Answer'));
  heading.append(element('span', (status ? 'HTTP ' + status + ' · ' : '') + milliseconds + ' ms', 'status'));
  const wrong = bad && answer ? answer.msg || answer.errmsg || (answer.data && answer.data.errmsg) : '';
  box.replaceChildren(heading);
  if (wrong) box.append(element('p', String(wrong), 'error'));
  if (list.childNodes.length) box.append(list);
  box.append(element('pre', shown));
}

async function send(form) {
  const fields = new FormData(form);
  fields.delete('csrfmiddlewaretoken');
  let address = form.getAttribute('action');
  const options = { method: form.method.toUpperCase(), headers: credentials(), cache: 'no-store' };
  if (options.method === 'GET') address += '?' + new URLSearchParams(fields);
  else options.body = form.enctype === 'multipart/form-data' ? fields : new URLSearchParams(fields);
  const started = performance.now();
  const reply = await fetch(address, options);
  return { status: reply.status, text: await reply.text(), milliseconds: Math.round(performance.now() - started) };
}

const form = document.getElementById('call');
if (form) {
  fillFields(form);
  const box = document.getElementById('answer');
  const button = form.querySelector('button');
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    for (const name of ['openId', 'diaryId', 'pair_id'])
      if (form.elements[name] && form.elements[name].value) remember(name, form.elements[name].value);
    if (who) who.value = remembered('openId');
    button.disabled = true;
    try {
      const { status, text, milliseconds } = await send(form);
      showAnswer(box, status, milliseconds, text);
    } catch {
      showAnswer(box, 0, 0, say('无法连接服务器，请检查网络后重试。', 'The server cannot be reached; check the network and try again.'));
    }
    button.disabled = false;
    box.scrollIntoView({ block: 'nearest' });
  });
}

// ---- the room chooser ----

const roomName = document.getElementById('room-name-input');
if (roomName) {
  const enter = () => {
    const name = roomName.value.trim();
    if (name) location.href = '/matching/room/' + encodeURIComponent(name) + '/';
    else roomName.focus();
  };
  roomName.value = remembered('pair_id');
  roomName.addEventListener('keyup', (event) => {
    if (event.key === 'Enter' && !event.isComposing) enter();
  });
  document.getElementById('room-name-submit').addEventListener('click', enter);
  roomName.focus();
}
