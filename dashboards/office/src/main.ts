import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';

// index.html has it.
mount(App, { target: document.getElementById('app') as HTMLElement });
