import './theme.css'
import { mount } from 'svelte'
import App from './App.svelte'
import { SocketBackend } from './socket'

mount(App, { target: document.getElementById('app')!, props: { backend: new SocketBackend(new URL('.', location.href)) } })
